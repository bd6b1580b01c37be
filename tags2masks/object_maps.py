"""Maps of single objects beside the maps of classes: a mask on a coarse grid for each box.

The grids of an image are one further array of the kind `grids`, float16, one after the other, row
by row. The attribute `objects` has a row per object in the same order: class id, x1, y1, x2, y2,
difficult, number of proposals behind it, rows and columns of its grid. The attribute `seen` is the
(height, width) of the image as the detector saw it, on which the grids lie.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tags2masks.errors import UserError
from tags2masks.store import Shard

KIND, ROWS, SEEN = "grids", "objects", "seen"

Size = tuple[int, int]


class ObjectMap(NamedTuple):
    """The map of an object.

    class_id: from 1, as in masks; box: x1, y1, x2, y2 in pixels of the image from 0, both corners
    inclusive; proposals: how many agreed with the box: where there was none, the grid is zero.
    grid: [h, w], 0 to 1; its corners lie on the corners of the image that the detector saw.
    """

    class_id: int
    box: tuple[int, int, int, int]
    difficult: bool
    proposals: int
    grid: np.ndarray


def stored_objects(objects: Sequence[ObjectMap], seen: Size) -> tuple[dict, dict[str, np.ndarray]]:
    """The attributes and further arrays of an image in a shard; seen: (height, width)."""
    rows = [[o.class_id, *o.box, int(o.difficult), o.proposals, *o.grid.shape] for o in objects]
    grids = [o.grid.astype(np.float16).ravel() for o in objects]
    array = np.concatenate([np.zeros(0, np.float16), *grids])
    return {ROWS: rows, SEEN: list(seen)}, {KIND: array}


def read_objects(shard: Shard, image: str) -> tuple[list[ObjectMap], Size]:
    """The objects of an image, in the order of its boxes, and the size that the detector saw.

    Raises UserError naming the shard if it has none, or damaged ones.
    """
    _, attributes = shard.read(image)
    values = shard.read_further(KIND, image)
    rows, objects, start = attributes.get(ROWS), [], 0
    if rows is None or values.size != sum(height * width for *_, height, width in rows):
        raise UserError(
            f"{shard.path}: image '{image}': its objects are damaged; delete it and run again"
        )
    for class_id, x1, y1, x2, y2, difficult, proposals, height, width in rows:
        grid = values[start : start + height * width].reshape(height, width)
        objects.append(ObjectMap(class_id, (x1, y1, x2, y2), bool(difficult), proposals, grid))
        start += grid.size
    return objects, tuple(attributes[SEEN])
