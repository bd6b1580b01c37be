"""Instances of an image as the store has them: COCO's run-length codes, class, score and box.

The codes of an image are the bytes of one array, uint8 [n], one after the other. The attribute
`instances` has a row per instance: class id, score, x1, y1, x2, y2, number of bytes, crowd. Where
an instance's possible extent is larger than its mask, its code follows the mask's, and the row has
a ninth number, that code's bytes. The array is the image's own in shards of instances, and a
further one, of the kind `instances`, beside a mask.

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
    objects as one, as true instances may be. possible_code: the RLE of all pixels that may be its
    own, or None if these are the mask: between mask and possible extent, nothing is known.
    """

    class_id: int
    score: float
    box: Corners
    code: dict
    crowd: bool = False
    possible_code: dict | None = None

    @property
    def mask(self) -> np.ndarray:
        """Its pixels, bool [H, W]."""
        return coco_mask.decode(self.code).astype(bool)

    @property
    def possible(self) -> np.ndarray:
        """The pixels that may be its own, bool [H, W]; those of the mask are among them."""
        return coco_mask.decode(self.possible_code or self.code).astype(bool)


def instance(
    class_id: int,
    mask: np.ndarray,
    score: float = 1.0,
    box: Corners | None = None,
    crowd: bool = False,
    possible: np.ndarray | None = None,
) -> Instance:
    """An instance from its pixels, bool [H, W], and those that may be its own.

    box: None for the extent of the pixels; without pixels, that is 0, 0, −1, −1. Raises ValueError
    if the mask has a pixel that is not possible.
    """  # fmt: skip
    code = _code(mask)
    if possible is not None and (mask & ~possible).any():
        raise ValueError("a pixel of the mask is not among the possible ones")
    larger = possible is not None and not np.array_equal(mask, possible)
    if box is None:
        left, top, width, height = (round(side) for side in coco_mask.toBbox(code).tolist())
        box = (left, top, left + width - 1, top + height - 1)
    about = int(class_id), float(score), tuple(map(int, box))
    return Instance(*about, code, crowd, _code(possible) if larger else None)


def _code(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask, np.uint8))


def coded(instances: Sequence[Instance]) -> tuple[np.ndarray, list[list]]:
    """The array and the attribute `instances` of an image."""
    counts, rows = [], []
    for each in instances:
        code, *larger = own = [one["counts"] for one in (each.code, each.possible_code) if one]
        counts += own
        rows.append(
            [each.class_id, each.score, *each.box, len(code), each.crowd, *map(len, larger)]
        )
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
    try:
        return decoded(codes, attributes)
    except ValueError:
        raise UserError(
            f"{shard.path}: image '{image}': its instances are damaged, or of an earlier version; "
            "delete it and run again"
        ) from None


def decoded(codes: np.ndarray, attributes: dict) -> list[Instance]:
    """The instances of an image from their codes, and from the attributes `instances` and `size`.

    Raises ValueError for codes that are not those of the rows of `instances`.
    """
    rows, found, start = attributes.get(KIND, []), [], 0
    if codes.ndim != 1 or codes.size != sum(row[6] + sum(row[8:]) for row in rows):
        raise ValueError("the codes are not those of the rows")
    for class_id, score, x1, y1, x2, y2, length, crowd, *larger in rows:
        own = []
        for count in (length, *larger):
            counts = codes[start : start + count].tobytes()
            own.append({"size": attributes["size"], "counts": counts})
            start += count
        code, *possible = own
        found.append(Instance(class_id, score, (x1, y1, x2, y2), code, crowd, *possible))
    return found
