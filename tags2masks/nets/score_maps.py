"""Normalisation of score maps."""

from torch import Tensor


def normalize(maps: Tensor) -> Tensor:
    """Every map of [..., h, w] divided by its maximum plus 1e-5, as in IRN's public code."""
    return maps / (maps.amax((-2, -1), keepdim=True) + 1e-5)
