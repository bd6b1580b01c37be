"""Masks as polygons along the edges of their pixels: exact, and without holes."""

import numpy as np
from skimage.measure import label, regionprops

Polygon = list[tuple[int, int]]
"""The corners (x, y), clockwise, counted at the pixels' edges: pixel (0, 0) is from 0 to 1."""


def polygons_of(mask: np.ndarray) -> list[Polygon]:
    """Polygons that cover the pixels of a mask, bool [H, W], and no others, each pixel once.

    One for each part that hangs together by sides of pixels. Many formats have no holes, so a part
    with holes is cut through them, from left to right, into several.
    """
    found, waiting = [], [(mask, 0, 0)]
    while waiting:
        some, top, left = waiting.pop()
        for region in regionprops(label(some, connectivity=1)):
            y, x = top + region.bbox[0], left + region.bbox[1]
            part = np.pad(region.image, 1)
            cut = _row_through_a_hole(part)
            if cut is None:
                found.append([(x + right - 1, y + down - 1) for right, down in _outline(part)])
            else:
                waiting += [(part[:cut], y - 1, x - 1), (part[cut:], y - 1 + cut, x - 1)]
    return found


def _row_through_a_hole(part: np.ndarray) -> int | None:
    """The row where a cut opens a hole; None without a hole. The border of part is False."""
    # Corners of pixels that touch close a hole no more than they join a part.
    around = label(~part, connectivity=2)
    holes = around > around[0, 0]
    if not holes.any():
        return None
    rows = np.nonzero((around == around[holes].min()).any(axis=1))[0]
    return int(rows[0] + rows[-1] + 1) // 2


def _outline(part: np.ndarray) -> Polygon:
    """The corners of the outline of one part without holes; the border of part is False."""
    onward: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # From a pixel's corner (x + dx, y + dy) along its side that has none of the part behind it.
    sides = (((-1, 0), (0, 0), (1, 0)), ((0, 1), (1, 0), (0, 1)))
    sides += (((1, 0), (1, 1), (-1, 0)), ((0, -1), (0, 1), (0, -1)))
    for (down, right), (dx, dy), step in sides:
        behind = np.roll(part, (-down, -right), axis=(0, 1))
        for y, x in zip(*np.nonzero(part & ~behind), strict=True):
            onward.setdefault((int(x) + dx, int(y) + dy), []).append(step)
    start = place = min(onward)
    step, corners = (0, 0), []
    while onward:
        steps = onward[place]
        turned = (-step[1], step[0])  # to the right, which stays at the same pixel
        next_step = turned if turned in steps else steps[0]
        steps.remove(next_step)
        if not steps:
            del onward[place]
        if next_step != step:
            corners.append(place)
        step, place = next_step, (place[0] + next_step[0], place[1] + next_step[1])
    assert place == start
    return corners
