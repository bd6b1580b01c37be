"""Boxes as pixels: filled, and with their surroundings.

Does not import torch: worker processes import this module.
"""

import numpy as np

from tags2masks.instance_store import Corners


def filled(box: Corners, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a box, bool [H, W]; box: x1, y1, x2, y2, inclusive; size: (H, W)."""
    x1, y1, x2, y2 = box
    inside = np.zeros(size, bool)
    inside[y1 : y2 + 1, x1 : x2 + 1] = True
    return inside


def around(box: Corners, size: tuple[int, int], margin: float) -> tuple[slice, slice]:
    """The box with `margin` of its sides added on each, at least a pixel, within the image."""
    x1, y1, x2, y2 = box
    right, down = (max(1, round(margin * side)) for side in (x2 - x1 + 1, y2 - y1 + 1))
    return (
        slice(max(0, y1 - down), min(size[0], y2 + 1 + down)),
        slice(max(0, x1 - right), min(size[1], x2 + 1 + right)),
    )
