"""Images with black patches of a grid, for random patch and disc-patch."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def draw_off(chances: Tensor, count: int, generator: Generator) -> Tensor:
    """Draw the black patches of `count` versions, bool [count, g, g].

    chances: probabilities [g, g] on the CPU. Versions are drawn one by one, so that the number per
    pass does not change them.
    """
    drawn = [torch.rand(chances.shape, generator=generator) for _ in range(count)]
    return torch.stack(drawn) < chances


def without_patches(image: Tensor, off: Tensor) -> Tensor:
    """The image [3, H, W] with the patches of each mask in `off` [n, g, g] set to 0: [n, 3, H, W].

    A pixel in row i belongs to row floor(i·g/H) of the grid.
    """
    on = (~off).to(image.device, image.dtype)[:, None]
    return image * F.interpolate(on, image.shape[-2:], mode="nearest")
