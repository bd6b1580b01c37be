"""Instances that fill their boxes."""

from collections.abc import Iterator, Sequence

import numpy as np

from tags2masks.config.instances import BoxFill
from tags2masks.instance_store import Corners
from tags2masks.instances.windows import filled


def make_masks(image: np.ndarray, boxes: Sequence[Corners], spec: BoxFill) -> Iterator[np.ndarray]:
    """The mask of each box, bool [H, W]: all of its pixels.

    image: uint8 [H, W, 3], of which the size alone matters; boxes: x1, y1, x2, y2, inclusive.
    """
    for box in boxes:
        yield filled(box, image.shape[:2])
