"""Disc-patch (Maruf et al., appendix D.2): random patch with more black patches where CAM is high.

A patch is black with probability α·S_cam. S_cam is CAM (eq. 1: one scale, no flip), averaged over
the patch, maximum over the tagged classes. The paper takes all classes, and does not say how a
patch's locations are combined. Absent classes are left out, because their CAM, normalised by its
own maximum, has no meaning.
"""

import torch.nn.functional as F
from torch import Generator, Tensor

from tags2masks.config.saliency_maps import DiscPatch
from tags2masks.maps.batch import Batch
from tags2masks.maps.gradients import each_image, mean_saliency
from tags2masks.maps.patches import draw_off, without_patches
from tags2masks.maps.plain_cam import class_cams
from tags2masks.nets.classifier import Classifier


def localize(network: Classifier, batch: Batch, spec: DiscPatch) -> Tensor:
    """Maps of the tagged classes, the others zero.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """

    def aggregate(image: Tensor, classes: Tensor, generator: Generator) -> Tensor:
        maps = class_cams(network, image, classes)
        chances = spec.alpha * F.adaptive_avg_pool2d(maps, spec.grid).amax(0)

        def patched(count: int) -> Tensor:
            return without_patches(image, draw_off(chances, count, generator))

        return mean_saliency(network, patched, classes, spec)

    return each_image(batch, spec.stride, aggregate)
