"""Gradients of like predictions of an object: do they stay inside the proposals?

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 5.5 and
figure 5.8: the heads see features of the proposal alone, so that what lies outside of it hardly has
gradients, although the prediction hangs on it. There 87 % of the pixels above 0.9 are inside, and
proposals overlap with what is predicted from them by 0.56 in the mean.

The thesis does not say which gradient of a prediction is shown. Here it is that of `boxgrad`, of
one proposal at a time, as a share of its highest.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

from tags2masks.config.object_maps import BoxGrad
from tags2masks.maps.box_gradients import Asked, pixel_gradients
from tags2masks.maps.objects import Wanted
from tags2masks.maps.positives import find_positives
from tags2masks.nets.detector import Detector

COLUMNS = ("split", "image", "object", "class", "proposal", "overlap", "high", "inside")


class Seen(NamedTuple):
    """Proposals of an object, what is predicted from them, and the gradients of each prediction.

    boxes, predicted: float [P, 4]; gradients: [P, H, W] in 0 to 1.
    """

    boxes: Tensor
    predicted: Tensor
    gradients: Tensor


def look(network: Detector, image: Tensor, wanted: Wanted, spec: BoxGrad, most: int) -> Seen:
    """The first proposals of an object that count, `most` at most; image: [3, H, W] in 0 to 1."""
    wanted = wanted._replace(image=0)
    (found,) = find_positives(network, network.normalize(image[None]), [wanted], spec)
    count = min(most, len(found.boxes))
    gradients = image.new_zeros(count, *image.shape[1:])
    for number in range(count):
        asked = Asked([wanted], [found.boxes[number : number + 1]])
        gradients[number] = pixel_gradients(network, image[None], asked)[0]
    highest = gradients.amax((1, 2), keepdim=True)
    shares = gradients / highest.clamp_min(torch.finfo(gradients.dtype).tiny)
    return Seen(found.boxes[:count], found.predicted[:count], shares)


def rows_of_object(seen: Seen, above: float) -> list[tuple[int, float, int, int]]:
    """Of each proposal its number, IoU with its prediction, high pixels, and those inside of it.

    A pixel is inside a proposal if its middle is.
    """
    rows = []
    for number, (box, predicted, gradient) in enumerate(zip(*seen, strict=True)):
        y, x = (gradient > above).nonzero().T + 0.5
        within = (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])
        overlap = float(box_iou(box[None], predicted[None]))
        rows.append((number, overlap, len(x), int(within.sum())))
    return rows
