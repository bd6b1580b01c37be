"""Bilinear resizing of images and maps, with `align_corners=False` as in IRN's public code.

Labels are not mixed: a cell has that of its middle pixel.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """[B, C, h, w] to [B, C, *size]."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)


def at_scale(images: Tensor, scale: float) -> Tensor:
    """Images [B, 3, H, W] at this share of their sides, rounded, one pixel at least."""
    return resized(images, [max(1, round(side * scale)) for side in images.shape[-2:]])


def at_cells(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Labels [..., H, W] at the middles of a grid of (h, w) cells, [..., h, w]."""
    for axis, cells in zip((-2, -1), size, strict=True):
        side = labels.shape[axis]
        middles = (torch.arange(cells, device=labels.device) + 0.5) * (side / cells)
        labels = labels.index_select(labels.ndim + axis, middles.long().clamp(max=side - 1))
    return labels
