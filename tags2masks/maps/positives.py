"""The positive proposals of an object, about which a detector is asked (BBAM, CVPR 2021).

Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 5.3: jittered
boxes of which the detector makes the right class and nearly the true box. The limit of the overlap
is the first of `overlaps` by which more than `positives` count, as in the public code; the text
has .8 alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou, clip_boxes_to_image

from tags2masks.config.object_maps import ObjectMaps
from tags2masks.maps.objects import Size, Wanted
from tags2masks.nets.detector import Detector, Levels, padded


class Positives(NamedTuple):
    """The proposals of an object that count, and the detector's answers on the whole image.

    boxes: [P, 4]; predicted: [P, 4], the boxes that they lead to; probabilities: [P] of the class;
    offsets: [P, 4] of the class.
    """

    boxes: Tensor
    predicted: Tensor
    probabilities: Tensor
    offsets: Tensor


def find_positives(
    network: Detector, normalized: Tensor, objects: Sequence[Wanted], spec: ObjectMaps
) -> list[Positives]:
    """The proposals of each object that count, maybe none; normalized: images [B, 3, H, W]."""
    size = tuple(normalized.shape[-2:])
    with torch.no_grad():
        levels = network.pyramid(padded(normalized))
        return [positives_of(network, levels, size, wanted, spec) for wanted in objects]


def positives_of(
    network: Detector, levels: Levels, size: Size, wanted: Wanted, spec: ObjectMaps
) -> Positives:
    """The proposals of an object that count; levels: of all images, size: theirs."""
    device = wanted.box.device
    generator = torch.Generator().manual_seed(wanted.seed)
    proposals = jittered(wanted.box.cpu(), size, spec, generator).to(device)
    own = type(levels)((name, level[wanted.image][None]) for name, level in levels.items())
    probabilities, offsets = network.answers(own, [proposals], [size])
    offsets = offsets[:, wanted.number]
    predicted = network.roi_heads.box_coder.decode_single(offsets, proposals)
    predicted = clip_boxes_to_image(predicted, size)
    right = probabilities.argmax(1) == wanted.number
    overlaps = box_iou(predicted, wanted.box[None])[:, 0]
    chosen = first_enough(right, overlaps, spec)
    return Positives(
        proposals[chosen],
        predicted[chosen],
        probabilities[chosen, wanted.number],
        offsets[chosen],
    )


def first_enough(right: Tensor, overlaps: Tensor, spec: ObjectMaps) -> Tensor:
    """The numbers of the proposals that count, int64 [P], in their order.

    right: bool [N], whether the class is right; overlaps: [N], IoU of predicted and true box.
    """
    for limit in spec.overlaps:
        found = (right & (overlaps > limit)).nonzero()[:, 0]
        if len(found) > spec.positives:
            return found[: spec.positives]
    return found


def jittered(box: Tensor, size: Size, spec: ObjectMaps, generator: torch.Generator) -> Tensor:
    """Boxes around a box [4], each coordinate moved at random, clipped at the image: [N, 4]."""
    sides = (box[2:] - box[:2]).repeat(2)
    moves = 2 * torch.rand(spec.proposals, 4, generator=generator) - 1
    return clip_boxes_to_image(box + spec.jitter * sides * moves, size)
