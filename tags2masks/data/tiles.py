"""Where the tiles of an image lie.

Does not import torch.
"""

from typing import NamedTuple

from tags2masks.config.tiles import Tiles


class Tile(NamedTuple):
    """A rectangle of an image: its left and upper pixel, and its size."""

    x: int
    y: int
    width: int
    height: int

    @property
    def part(self) -> tuple[slice, slice]:
        """The rows and columns of the image."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


def tiles_of(height: int, width: int, spec: Tiles) -> list[Tile]:
    """The tiles of an image, row by row. All have the same size, so the last ones overlap more.

    They are as large as the image in a direction in which it is smaller than a tile.
    """
    across = min(spec.size, width)
    down = min(spec.size, height)
    return [
        Tile(x, y, across, down)
        for y in _starts(height, down, spec.overlap)
        for x in _starts(width, across, spec.overlap)
    ]


def _starts(side: int, size: int, overlap: int) -> list[int]:
    """The first pixels of the tiles along a side; the last tile ends where the side does."""
    last = side - size
    return [*range(0, last, size - overlap), last] if last else [0]
