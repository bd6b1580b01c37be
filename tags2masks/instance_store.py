"""Instances of an image as the store has them: COCO's run-length codes, class, score and box.

The codes of an image are the bytes of one array, uint8 [n], one after the other. The attribute
`instances` has a row per instance: class id, score, x1, y1, x2, y2, number of bytes, crowd. The
array is the image's own in shards of instances, and a further one, of the kind `instances`, beside
a mask.

Does not import torch: worker processes import this module.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from tags2masks.errors import UserError
from tags2masks.store import Entry, Shard

KIND = "instances"

Corners = tuple[int, int, int, int]


class Instance(NamedTuple):
    """An object of an image.

    class_id: from 1, as in masks; score: 0 to 1; box: x1, y1, x2, y2 in pixels from 0, both corners
    inclusive; code: pycocotools' RLE, {"size": [H, W], "counts": bytes}; crowd: whether it is many
    objects as one, as true instances may be.
    """

    class_id: int
    score: float
    box: Corners
    code: dict
    crowd: bool = False

    @property
    def mask(self) -> np.ndarray:
        """Its pixels, bool [H, W]."""
        return coco_mask.decode(self.code).astype(bool)


def instance(
    class_id: int,
    mask: np.ndarray,
    score: float = 1.0,
    box: Corners | None = None,
    crowd: bool = False,
) -> Instance:
    """An instance from its pixels, bool [H, W].

    box: None for the extent of the pixels; without pixels, that is 0, 0, −1, −1.
    """  # fmt: skip
    code = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    if box is None:
        left, top, width, height = (round(side) for side in coco_mask.toBbox(code).tolist())
        box = (left, top, left + width - 1, top + height - 1)
    return Instance(int(class_id), float(score), tuple(map(int, box)), code, crowd)


def coded(instances: Sequence[Instance]) -> tuple[np.ndarray, list[list]]:
    """The array and the attribute `instances` of an image."""
    counts = [each.code["counts"] for each in instances]
    rows = [
        [each.class_id, each.score, *each.box, len(code), each.crowd]
        for each, code in zip(instances, counts, strict=True)
    ]
    return np.frombuffer(b"".join(counts), np.uint8), rows


def entry(image: str, instances: Sequence[Instance], size: tuple[int, int]) -> Entry:
    """The entry of an image in a shard of instances; size: (H, W)."""
    codes, rows = coded(instances)
    return image, codes, {"size": list(size), KIND: rows}


def read_instances(shard: Shard, image: str) -> list[Instance]:
    """The instances of an image, from a shard of instances or beside a mask.

    Raises UserError naming the shard if it has none for this image, or damaged ones.
    """
    array, attributes = shard.read(image)
    codes = array if array.ndim == 1 else shard.read_further(KIND, image)
    rows, found, start = attributes.get(KIND, []), [], 0
    if codes.ndim != 1 or codes.size != sum(row[6] for row in rows):
        raise UserError(
            f"{shard.path}: image '{image}': its instances are damaged, or of an earlier version; "
            "delete it and run again"
        )
    for class_id, score, *box, length, crowd in rows:
        code = {"size": attributes["size"], "counts": codes[start : start + length].tobytes()}
        found.append(Instance(class_id, score, tuple(box), code, crowd))
        start += length
    return found
