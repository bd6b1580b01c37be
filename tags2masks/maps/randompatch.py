"""Random patch (Maruf et al., appendix D.2): the mean saliency of an image with patches off.

A patch that is off is black, the image being in 0 to 1. The paper gives no number of samples; the
default is that of SmoothGrad.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from tags2masks.config.maps import RandomPatch
from tags2masks.maps.batch import Batch
from tags2masks.maps.gradients import each_image, mean_saliency


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


def draw_off(chances: Tensor, count: int, generator: Generator) -> Tensor:
    """Which patches are off in each of so many versions, bool [count, g, g].

    chances: [g, g] on the CPU. Drawn version by version: how many go together changes nothing.
    """
    drawn = [torch.rand(chances.shape, generator=generator) for _ in range(count)]
    return torch.stack(drawn) < chances


def without_patches(image: Tensor, off: Tensor) -> Tensor:
    """The image [3, H, W] with patches set to zero, for every [g, g] of off: [n, 3, H, W].

    A pixel in row i belongs to row floor(i·g/H) of the grid.
    """
    on = (~off).to(image.device, image.dtype)[:, None]
    return image * F.interpolate(on, image.shape[-2:], mode="nearest")
