"""True instances, for evaluation alone: from files of objects, or from masks and boxes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tags2masks.data.boxes import CORNERS
from tags2masks.data.index import sizes_of
from tags2masks.data.truth import MaskTable, read_mask
from tags2masks.instance_store import Corners, Instance, instance
from tags2masks.mask_ids import IGNORED

TRUE = "true_instances"
"""The id in the shards of true instances, and the folder that they are in."""

AS_THEY_ARE = np.arange(256, dtype=np.uint8)


def drawn_instances(
    root: Path | str, truth: pd.DataFrame, index: pd.DataFrame, table: MaskTable
) -> Iterator[list[Instance] | None]:
    """The instances of each row of truth from its files of mask and objects; None without the
    latter.

    truth: columns mask and instances, paths relative to root; index: the same images; table: of the
    mask's ids. Raises UserError as `read_mask`.
    """
    files = zip(truth["mask"], truth["instances"], sizes_of(index), strict=True)
    for mask, objects, size in files:
        if not objects:
            yield None
            continue
        drawn = read_mask(Path(root) / objects, AS_THEY_ARE, size)
        yield separated(drawn, read_mask(Path(root) / mask, table, size))


def separated(objects: np.ndarray, mask: np.ndarray) -> list[Instance]:
    """The instances of uint8 [H, W] objects, numbered from 1, and a mask of our ids.

    Pixels of 255 are of no object. An object has the class of most of its pixels, and is none if
    these are background or ignored.
    """
    instances = []
    for number in np.unique(objects):
        if number not in (0, IGNORED):
            pixels = objects == number
            class_id = int(np.bincount(mask[pixels]).argmax())
            if class_id not in (0, IGNORED):
                instances.append(instance(class_id, pixels))
    return instances


def boxed_instances(
    root: Path | str,
    truth: pd.DataFrame,
    index: pd.DataFrame,
    table: MaskTable,
    boxes: pd.DataFrame,
    classes: Sequence[str],
) -> Iterator[list[Instance] | None]:
    """The instances of each row of truth from its mask and its boxes; see `inside_boxes`.

    boxes: a table of `data.boxes.box_table`; the rest as for `drawn_instances`.
    """
    ids = {name: number for number, name in enumerate(classes, start=1)}
    of_image = dict(list(boxes.groupby("image", sort=False)))
    for image, mask, size in zip(truth["image"], truth["mask"], sizes_of(index), strict=True):
        own = of_image.get(image, boxes[:0])
        corners = own[list(CORNERS)].itertuples(index=False, name=None)
        pairs = [(ids[name], at) for name, at in zip(own["class"], corners, strict=True)]
        yield inside_boxes(read_mask(Path(root) / mask, table, size), pairs)


def inside_boxes(mask: np.ndarray, boxes: Sequence[tuple[int, Corners]]) -> list[Instance] | None:
    """The pixels of each box's class in it; None if boxes of one class have a pixel in common.

    mask: uint8 [H, W]; boxes: (class id, corners). A box without a pixel of its class is left out.
    """
    instances = []
    seen = {class_id: np.zeros(mask.shape, bool) for class_id, _ in boxes}
    for class_id, (x1, y1, x2, y2) in boxes:
        window = slice(y1, y2 + 1), slice(x1, x2 + 1)
        if seen[class_id][window].any():
            return None
        seen[class_id][window] = True
        pixels = np.zeros(mask.shape, bool)
        pixels[window] = mask[window] == class_id
        if pixels.any():
            instances.append(instance(class_id, pixels))
    return instances
