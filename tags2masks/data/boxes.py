"""Boxes around objects, a source of supervision of its own: what boxes.csv holds."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.data.tables import read_checked, write_table
from tags2masks.errors import UserError, raise_together

COLUMNS = ("image", "class", "x1", "y1", "x2", "y2", "difficult")
CORNERS = COLUMNS[2:6]


class Box(NamedTuple):
    """A box as a reader finds it.

    corners: x1, y1, x2, y2 in pixels from 0, both corners inside. origin: where it is written down,
    as the start of an error's line.
    """

    image: str
    name: str
    corners: tuple[int, int, int, int]
    difficult: bool
    origin: str


def box_table(boxes: Iterable[Box], index: pd.DataFrame) -> pd.DataFrame:
    """A row (`COLUMNS`) per box, in the order of the index, and the boxes of an image in theirs.

    Raises UserError with a line for each box that leaves its image or has no area.
    """
    sizes = {
        image: (height, width)
        for image, height, width in zip(
            index["image"], index["height"], index["width"], strict=True
        )
    }
    rows: dict[str, list[tuple]] = {image: [] for image in sizes}
    problems = []
    for box in boxes:
        if problem := _problem(box.corners, sizes[box.image]):
            problems.append(f"{box.origin}: {problem}")
        rows[box.image].append((box.image, box.name, *box.corners, box.difficult))
    raise_together(problems)
    return pd.DataFrame([row for some in rows.values() for row in some], columns=list(COLUMNS))


def _problem(corners: tuple[int, int, int, int], size: tuple[int, int]) -> str | None:
    x1, y1, x2, y2 = corners
    shown = f"the box from {x1},{y1} to {x2},{y2}"
    if x2 < x1 or y2 < y1:
        return f"{shown} has no area; correct it, or take it out"
    if min(corners) < 0 or x2 >= size[1] or y2 >= size[0]:
        return (
            f"{shown} leaves the image, whose last pixel is {size[1] - 1},{size[0] - 1} (from 0); "
            "correct it, or take it out"
        )
    return None


def nudged(corners: Sequence[int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The corners, moved into the image of (height, width) where they are one pixel beyond it.

    Published annotations are rounded that way here and there.
    """
    height, width = size
    x1, y1, x2, y2 = corners
    return (
        0 if x1 == -1 else x1,
        0 if y1 == -1 else y1,
        width - 1 if x2 == width else x2,
        height - 1 if y2 == height else y2,
    )


def extent(region: np.ndarray) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of a bool [h, w] region that is not empty, both corners inside."""
    lines, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    return int(columns[0]), int(lines[0]), int(columns[-1]), int(lines[-1])


def write_boxes(path: Path | str, frame: pd.DataFrame) -> None:
    """Write what `box_table` gives; `read_boxes` gives it back."""
    write_table(path, frame.astype({"difficult": int}), COLUMNS)


def read_boxes(path: Path | str) -> pd.DataFrame:
    """Read boxes.csv: corners as integers, difficult as bool, the rest as strings.

    Pixels count from 0, and both corners are inside. Raises UserError naming the file when it is
    absent or no such table.
    """
    frame = read_checked(path, COLUMNS, "run again")
    try:
        frame = frame.astype(dict.fromkeys((*CORNERS, "difficult"), int))
    except ValueError as error:
        raise UserError(f"{path}: {error}; delete it and run again") from None
    return frame.astype({"difficult": bool})
