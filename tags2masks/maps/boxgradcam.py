"""Grad-CAM (Selvaraju et al., ICCV 2017, eq. 1 and 2) of a detector.

On every level of the feature pyramid from which one of the object's proposals is taken, channels
are weighted with the gradient of the class score. As in `maps/gradcam.py` it is summed over the
locations, not averaged, so that a level counts by what the score owes to it, and not by its size.
The levels' maps, after the ReLU, are resized to the image and added. What a proposal's features
are is not said by BBAM's paper, which compares itself with Grad-CAM.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tags2masks.config.object_maps import BoxGradCam
from tags2masks.maps.box_gradients import Asked, class_scores, each_object
from tags2masks.maps.objects import Wanted
from tags2masks.nets.detector import Detector, padded


def localize(
    network: Detector, images: Tensor, objects: Sequence[Wanted], spec: BoxGradCam
) -> list[tuple[Tensor, int]]:
    """As `box_gradients.each_object`."""
    height, width = images.shape[-2:]

    def weighted(asked: Asked) -> Tensor:
        batch = padded(network.normalize(images))
        with torch.no_grad():
            levels = network.pyramid(batch)
        own = OrderedDict((n, f[asked.images].requires_grad_()) for n, f in levels.items())
        scores = class_scores(network, own, asked, (height, width))
        gradients = torch.autograd.grad(scores.sum(), [*own.values()], allow_unused=True)
        maps = torch.zeros(len(scores), *batch.shape[-2:], device=images.device)
        for features, gradient in zip(own.values(), gradients, strict=True):
            if gradient is not None:  # of the last level no regions are taken
                cam = (gradient.sum((2, 3), keepdim=True) * features.detach()).sum(1, keepdim=True)
                maps += F.interpolate(cam.relu(), maps.shape[1:], mode="bilinear")[:, 0]
        return maps[:, :height, :width]

    return each_object(network, images, objects, spec, weighted)
