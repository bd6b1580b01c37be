"""COCO's regions: masks of one object from polygons or RLE, and semantic masks of an image.

Masks are drawn as in the public conversion to VOC's format that papers refer to
(github.com/alicranck/coco2voc): smaller objects over larger ones, crowds as their class. Differs
from
it: objects are sorted by the pixels that are drawn, not by the file's `area`.
"""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from tags2masks.mask_ids import IGNORED

MOST_BITS = 40  # of a number in an RLE


def semantic_mask(
    regions: Sequence[np.ndarray], objects: Sequence[dict], ids: dict[int, int], crowd: str
) -> np.ndarray:
    """The mask, uint8 [h, w]: each pixel has the id of the smallest region that contains it.

    Of equally large regions the first counts. regions: bool [h, w], one per object, at least one.
    ids: mask id by category id. crowd: "class" draws crowds like other objects; "ignore" as 255.
    """
    mask = np.zeros(regions[0].shape, np.uint8)
    order = sorted(range(len(regions)), key=lambda at: (-regions[at].sum(), -at))
    for at in order:
        ignored = crowd == "ignore" and objects[at].get("iscrowd")
        mask[regions[at]] = IGNORED if ignored else ids[objects[at]["category_id"]]
    return mask


def region_of(segmentation: object, size: tuple[int, int]) -> np.ndarray:
    """The region of a COCO segmentation (polygons, or RLE, compressed or not), bool [h, w].

    Polygons of fewer than three points are skipped. Points may lie outside the image by at most its
    width or height. Raises ValueError saying what is wrong.
    """
    if isinstance(segmentation, dict):
        return _from_rle(segmentation, size)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("no polygon and no RLE")
    parts = [_polygon(part, size) for part in segmentation]
    parts = [part for part in parts if len(part) >= 6]
    if not parts:
        return np.zeros(size, bool)
    drawn = coco_mask.frPyObjects(parts, *size)
    return coco_mask.decode(coco_mask.merge(drawn)).astype(bool)


def _polygon(part: object, size: tuple[int, int]) -> list[float]:
    try:
        points = np.array(part, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("a polygon with something that is no number") from None
    if points.ndim != 1 or len(points) % 2:
        raise ValueError("a polygon that is no flat list x, y, x, y, …")
    limits = np.array(size[::-1])
    pairs = points.reshape(-1, 2)
    if not ((pairs >= -limits) & (pairs <= 2 * limits)).all():  # NaN fails too
        raise ValueError(f"a polygon far outside the image of {size[1]} × {size[0]} pixels")
    return points.tolist()


def _from_rle(rle: dict, size: tuple[int, int]) -> np.ndarray:
    """Decode alternating runs of 0 and 1 down the columns; pycocotools does not check their sum."""
    if rle.get("size") != list(size):
        raise ValueError(f"an RLE of size {rle.get('size')}, but the image has {list(size)}")
    counts = rle.get("counts")
    counts = unpacked(counts) if isinstance(counts, str) else counts
    if not isinstance(counts, list) or not all(isinstance(n, int) and n >= 0 for n in counts):
        raise ValueError("an RLE whose counts are no numbers from 0")
    if sum(counts) != size[0] * size[1]:
        raise ValueError(f"an RLE of {sum(counts)} pixels, but the image has {size[0] * size[1]}")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(size[::-1]).T


def unpacked(text: str) -> list[int]:
    """Decode the counts of a compressed RLE.

    A character holds six bits, counted from '0': five bits of a number, lowest first, and a bit
    that says whether more follow. The highest bit of the number is its sign. From the fourth count
    on, the difference from the count two before is stored. Raises ValueError for an invalid
    character, a number that is too large, or an incomplete number.
    """
    counts: list[int] = []
    number, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"an RLE with the character {character!r}")
        number |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            if shift > MOST_BITS:
                raise ValueError("an RLE with a number that no image has")
            continue
        if code & 0x10:
            number -= 1 << shift
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number, shift = 0, 0
    if shift:
        raise ValueError("an RLE that ends within a number")
    return counts
