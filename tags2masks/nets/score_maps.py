"""What is done with score maps, whatever they were made by."""

from torch import Tensor


def normalize(maps: Tensor) -> Tensor:
    """Every map of [..., h, w] divided by its maximum plus 1e-5 (methods §0)."""
    return maps / (maps.amax((-2, -1), keepdim=True) + 1e-5)
