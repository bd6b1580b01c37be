"""COCO's regions: polygons and RLE as masks of one object, and of all objects of an image.

Masks are drawn as the public conversion to VOC's form draws them (github.com/alicranck/coco2voc,
which weakly supervised work on COCO refers to): smaller objects over larger ones, and regions that
hold a crowd as their class. It sorts by the file's `area`, we by the pixels that are drawn.
"""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from tags2masks.mask_ids import IGNORED

MOST_BITS = 40  # of a number in an RLE


def semantic_mask(
    regions: Sequence[np.ndarray], objects: Sequence[dict], ids: dict[int, int], crowd: str
) -> np.ndarray:
    """uint8 [h, w]: each pixel the id of the smallest region it lies in, the first of equal ones.

    regions: bool [h, w], one for each of objects (an image has at least one). ids: by category id.
    crowd: "class" draws crowds as any object; "ignore" as 255.
    """
    mask = np.zeros(regions[0].shape, np.uint8)
    order = sorted(range(len(regions)), key=lambda at: (-regions[at].sum(), -at))
    for at in order:
        ignored = crowd == "ignore" and objects[at].get("iscrowd")
        mask[regions[at]] = IGNORED if ignored else ids[objects[at]["category_id"]]
    return mask


def region_of(segmentation: object, size: tuple[int, int]) -> np.ndarray:
    """bool [h, w] of a COCO segmentation: polygons, or RLE, compressed or not.

    A part of fewer than three points has no area. Points may lie outside the image by its width
    or height. Raises ValueError saying what is wrong.
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
    """Runs of 0 and 1 by turns, down the columns. Checked here: pycocotools trusts their sum."""
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
    """The counts of a compressed RLE.

    Six bits a character from '0' on: five of the number, lowest first, and whether more follow; the
    last bit is the sign. From the fourth count on the difference from the last but one is stored.
    Raises ValueError for a character that cannot be, a number that no image has, or a text that
    ends within a number.
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
