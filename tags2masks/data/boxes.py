"""Boxes around objects, a separate source of supervision, in boxes.csv.

Does not import torch: worker processes import this module.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.data.index import spaced
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


class Boxes(NamedTuple):
    """The boxes of an image.

    corners: int64 [n, 4], x1, y1, x2, y2 in pixels from 0, both inclusive; classes: int64 [n], from
    1; difficult: bool [n].
    """

    corners: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray

    @property
    def edges(self) -> np.ndarray:
        """float32 [n, 4] as networks have boxes: x2, y2 behind the last pixel."""
        return (self.corners + np.array([0, 0, 1, 1])).astype(np.float32)


def boxes_of(
    path: Path | str, rows: pd.DataFrame, classes: Sequence[str], keep_difficult: bool = True
) -> list[Boxes]:
    """The boxes of each image of the rows, in the order of the table (boxes.csv).

    Raises UserError naming the table if it has a class that is not among the classes.
    """
    table, ids = read_boxes(path), {name: at for at, name in enumerate(classes, start=1)}
    if unknown := sorted(set(table["class"]) - ids.keys()):
        raise UserError(
            f"{path}: unknown class '{unknown[0]}', not among {', '.join(classes)}; delete it and "
            "run again"
        )
    if not keep_difficult:
        table = table[~table["difficult"]]
    groups = dict(iter(table.groupby("image", sort=False)))
    none = table[:0]
    return [
        Boxes(
            own[list(CORNERS)].to_numpy(np.int64).reshape(-1, 4),
            np.array([ids[name] for name in own["class"]], np.int64),
            own["difficult"].to_numpy(bool),
        )
        for own in (groups.get(image, none) for image in rows["image"])
    ]


def some_with_boxes(
    rows: pd.DataFrame, boxes: Sequence[Boxes], count: int, path: Path
) -> tuple[pd.DataFrame, list[Boxes]]:
    """At most `count` rows of images with boxes, evenly spaced, and their boxes.

    boxes: of each of the rows. Raises UserError naming the path if no image has one.
    """
    by_image = dict(zip(rows["image"], boxes, strict=True))
    with_boxes = [image for image, own in by_image.items() if len(own.classes)]
    if not with_boxes:
        raise UserError(f"{path}: no image has a box; there is nothing to look at")
    chosen = rows[rows["image"].isin(spaced(with_boxes, count))].reset_index(drop=True)
    return chosen, [by_image[image] for image in chosen["image"]]
