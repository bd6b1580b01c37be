"""Pairs of nearby cells of a feature map, and the straight paths between them.

Affinity networks learn from these pairs, and the random walk moves along them. A pair is given by
its offset (dy, dx), dy >= 0: its first cell is the upper one, or the left one in the same row.
"""

from functools import cache

from torch import Tensor

Offset = tuple[int, int]


@cache
def half_disc(radius: int) -> tuple[Offset, ...]:
    """The offsets to all cells nearer than `radius`; of two opposite offsets only one.

    Raises ValueError for a radius below 2, which reaches no other cell.
    """
    if radius < 2:
        raise ValueError(f"radius {radius} reaches no other cell; use 2 or more")
    return tuple(
        (dy, dx)
        for dy in range(radius)
        for dx in range(1 - radius if dy else 1, radius)
        if dy * dy + dx * dx < radius * radius
    )


@cache
def path(offset: Offset) -> tuple[Offset, ...]:
    """The cells on the path between two cells of this offset, relative to the first, ends included.

    As in IRN's public code: all cells in the bounding box of the two that are less than one cell
    away from the line through the two centres.
    """
    dy, dx = offset
    length = dy * dy + dx * dx
    columns = range(min(0, dx), max(0, dx) + 1)
    return tuple((y, x) for y in range(dy + 1) for x in columns if (dy * x - dx * y) ** 2 < length)


def cells(values: Tensor, offset: Offset, shift: Offset = (0, 0)) -> Tensor:
    """A view of the cells at `shift` from the first cell of every pair of this offset.

    values: [..., h, w]. Returns [..., h - dy, w - |dx|], the pairs in the same order for every
    shift: (0, 0) gives their first cells, the offset itself their second ones. Empty if the map is
    too small for any pair.
    """
    dy, dx = offset
    height, width = values.shape[-2:]
    rows, columns = max(0, height - dy), max(0, width - abs(dx))
    top, left = shift[0], max(0, -dx) + shift[1]
    return values[..., top : top + rows, left : left + columns]
