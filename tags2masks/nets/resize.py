"""Bilinear resizing of images and maps, with `align_corners=False` as in IRN's public code."""

from collections.abc import Sequence

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
