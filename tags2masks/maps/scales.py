"""Merging of maps over scales, mirror images and steps."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tags2masks.nets.resize import at_scale, resized
from tags2masks.nets.score_maps import normalize


def multi_scale(
    score: Callable[[Tensor], Tensor],
    images: Tensor,
    scales: Sequence[float],
    flip: bool,
    stride: int,
    rectify: bool = True,
) -> Tensor:
    """Sum of ReLU'd score maps over scales and flips, at 1/stride of the image's size.

    score: from images [B, 3, h, w] to maps [B, K, h', w']; mirrored images are in the same batch.
    images: [B, 3, H, W]; rectify: false sums the score maps without ReLU.
    Returns [B, K, ceil(H/stride), ceil(W/stride)], not normalised.
    """
    size = stored_size(images.shape[-2:], stride)
    total = None
    for scale in sorted(scales, reverse=True):  # what is smaller fits into memory freed before it
        scaled = at_scale(images, scale)
        if flip:
            scaled = torch.cat([scaled, scaled.flip(-1)])
        maps = score(scaled.contiguous(memory_format=torch.channels_last)).float()
        maps = maps.relu() if rectify else maps
        if flip:
            straight, mirrored = maps.chunk(2)
            maps = straight + mirrored.flip(-1)
        maps = resized(maps, size)
        total = maps if total is None else total + maps
    return total


def stored_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """The (height, width) of stored maps: the image's size divided by the stride, rounded up."""
    height, width = size
    return -(-height // stride), -(-width // stride)


def sum_of_steps(steps: Tensor, step_map: str) -> Tensor:
    """Sum the maps of several steps, and divide by the maximum plus 1e-5.

    steps: [..., T, h, w], 0 or more. step_map: "normalized" normalises each step's map first, "raw"
    does not. Returns [..., h, w].
    """
    return normalize((normalize(steps) if step_map == "normalized" else steps).sum(-3))


def in_units_of_first(steps: Tensor) -> Tensor:
    """Divide the maps [..., T, h, w] by the first map's maximum plus 1e-5; clipped to 65504.

    Ratios to the first step are preserved: growth, and regions of the first map.
    """
    first = steps[..., :1, :, :].amax((-2, -1), keepdim=True)
    return (steps / (first + 1e-5)).clamp(max=65504)
