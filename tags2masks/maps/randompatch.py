"""Random patch (Maruf et al., appendix D.2): mean saliency of an image with random black patches.

A patch is set to 0, in an image of values in 0 to 1. The paper gives no number of samples; the
default is that of SmoothGrad.
"""

import torch
from torch import Generator, Tensor, nn

from tags2masks.config.saliency_maps import RandomPatch
from tags2masks.maps.batch import Batch
from tags2masks.maps.gradients import each_image, mean_saliency
from tags2masks.maps.patches import draw_off, without_patches


def localize(network: nn.Module, batch: Batch, spec: RandomPatch) -> Tensor:
    """Maps of the tagged classes, the others zero.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """
    chances = torch.full((spec.grid, spec.grid), spec.off)

    def aggregate(image: Tensor, classes: Tensor, generator: Generator) -> Tensor:
        def patched(count: int) -> Tensor:
            return without_patches(image, draw_off(chances, count, generator))

        return mean_saliency(network, patched, classes, spec)

    return each_image(batch, spec.stride, aggregate)
