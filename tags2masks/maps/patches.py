"""Images with patches of a grid switched off, for random patch and disc-patch."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


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
