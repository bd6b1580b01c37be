"""Label Studio's brush strokes: the RLE of the package @thi.ng/rle-pack, over RGBA pixels."""

from collections.abc import Sequence

import numpy as np

from tags2masks.importing.shapes import check_size

PAINTED = 128
"""Opacity from which a pixel counts; the edge of a stroke is smoothed."""


def decode_brush(rle: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """The painted pixels, bool [h, w], of the bytes in a result's `rle`.

    The head has the number of values (32 bits), the bits of a value less one (5), and four widths
    of run lengths less one (4 bits each). Then runs follow: one bit (1: one value repeated, 0: as
    many values), two bits that choose the width, the length less one, the value or values.
    Raises ValueError if it ends early, or has another number of values than size asks for.
    """
    check_size(size)
    data = np.asarray(rle)
    if data.ndim != 1 or data.dtype.kind not in "iu" or ((data < 0) | (data > 255)).any():
        raise ValueError("a brush whose rle is no list of bytes")
    bits = "".join(f"{byte:08b}" for byte in data.tolist())
    place = 0

    def take(count: int) -> int:
        nonlocal place
        part = bits[place : place + count]
        if len(part) < count:
            raise ValueError("a brush whose rle ends early")
        place += count
        return int(part, 2)

    total = take(32)
    if total != 4 * size[0] * size[1]:
        raise ValueError(f"a brush of {total} values, but RGBA has {4 * size[0] * size[1]}")
    word = take(5) + 1
    widths = [take(4) + 1 for _ in range(4)]
    values, at = np.zeros(total, np.int64), 0
    while at < total:
        repeated = take(1)
        end = at + take(widths[take(2)]) + 1
        if end > total:
            raise ValueError(f"a brush with more than {total} values")
        if repeated:
            values[at:end] = take(word)
        else:
            values[at:end] = [take(word) for _ in range(end - at)]
        at = end
    return values.reshape(*size, 4)[..., 3] >= PAINTED
