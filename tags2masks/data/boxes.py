"""Boxes around objects, a separate source of supervision, in boxes.csv."""

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
    """A box from a reader.

    corners: x1, y1, x2, y2 in pixels from 0, both inclusive. origin: file and line or annotation,
    for error messages.
    """

    image: str
    name: str
    corners: tuple[int, int, int, int]
    difficult: bool
    origin: str


def box_table(boxes: Iterable[Box], index: pd.DataFrame) -> pd.DataFrame:
    """A table (`COLUMNS`) with a row per box, sorted as the index; order within an image is kept.

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
    """Corners, moved into an image of size (height, width) if they are one pixel outside.

    Some published annotations are off by one because of rounding.
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
    """The bounding box x1, y1, x2, y2 (inclusive) of a non-empty region, bool [h, w]."""
    lines, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    return int(columns[0]), int(lines[0]), int(columns[-1]), int(lines[-1])


def write_boxes(path: Path | str, frame: pd.DataFrame) -> None:
    """Write a table of `box_table`; `read_boxes` reads it."""
    write_table(path, frame.astype({"difficult": int}), COLUMNS)


def read_boxes(path: Path | str) -> pd.DataFrame:
    """Read boxes.csv: corners as integers, difficult as bool, the rest as strings.

    Pixels count from 0; both corners are inclusive. Raises UserError naming the file if it is
    absent or not such a table.
    """
    frame = read_checked(path, COLUMNS, "run again")
    try:
        frame = frame.astype(dict.fromkeys((*CORNERS, "difficult"), int))
    except ValueError as error:
        raise UserError(f"{path}: {error}; delete it and run again") from None
    return frame.astype({"difficult": bool})
