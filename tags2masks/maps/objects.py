"""Objects to localize, and their masks on coarse grids."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]


class Wanted(NamedTuple):
    """An object to localize.

    image: number of its image in the batch; box: float [4], x1, y1, x2, y2 in pixels of the image
    as it is given, x2 and y2 behind the last pixel; number: its class from 1; seed: of its
    proposals.
    """

    image: int
    box: Tensor
    number: int
    seed: int


def upsampled(grid: Tensor, size: Size) -> Tensor:
    """A mask on its grid, [h, w], at an image's (height, width), bilinearly; corners aligned."""
    return F.interpolate(grid[None, None], size, mode="bilinear", align_corners=True)[0, 0]
