"""A folder of images with a table of tags, and perhaps a folder of masks."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.config.datasets import Folder
from tags2masks.data.index import SPLITS
from tags2masks.data.problems import raise_together
from tags2masks.data.truth import plain_table, with_masks
from tags2masks.errors import UserError

COLUMNS = ("image", "tags", "split")


class Line(NamedTuple):
    """A line of the table, its cells stripped."""

    number: int
    image: str
    tags: tuple[str, ...]
    split: str


def list_images(spec: Folder, root: Path | str, seed: int = 0) -> tuple[pd.DataFrame, list[str]]:
    """The images of the table `spec.tags`, and the classes: the config's, or the tags by alphabet.

    root: the folder of the images. An image's id is its path without the suffix.
    Raises UserError naming the table, the line and the value of every mistake.
    """
    lines = _read_table(Path(spec.tags))
    classes = spec.classes or tuple(sorted({tag for line in lines for tag in line.tags}))
    if not classes:
        raise UserError(f"{spec.tags}: no tag in the column tags; tag the training images")
    if "background" in classes:
        raise UserError(f"{spec.tags}: the tag 'background' is implied; take it out")
    if not Path(root).is_dir():
        raise UserError(f"{root}: no such folder of images; correct `images` in the config")
    raise_together(
        [
            f"{spec.tags}, line {line.number}: {problem}"
            for line in lines
            for problem in (*_line_problems(line, classes), *_path_problems(line.image, Path(root)))
        ]
        + [f"{spec.tags}, {problem}" for problem in _twins(lines)]
    )
    listing = pd.DataFrame(
        {
            "image": [_image_id(line.image) for line in lines],
            "path": [line.image for line in lines],
            "split": [line.split for line in lines],
            "tags": [line.tags for line in lines],
        }
    )
    return listing, list(classes)


def list_truth(spec: Folder, root: Path | str, index: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The images with a mask: `<image>.png` below root, the folder of the masks.

    Images without one have no row. Raises UserError when none has one.
    """
    rows = with_masks(index, [f"{image}.png" for image in index["image"]], root)
    return rows[["image", "mask"]].assign(instances="", boxes=[[] for _ in range(len(rows))])


def mask_table(spec: Folder, classes: Sequence[str]) -> np.ndarray:
    """The files hold our ids: 0 background, 1 the first of classes, …, 255 ignored."""
    return plain_table(len(classes))


def _read_table(table: Path) -> list[Line]:
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{table}: no such file; correct `tags` in the config") from None
    except OSError as error:
        raise UserError(f"{table}: cannot be read ({error.strerror}); make it readable") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{table}: byte {error.start} is not UTF-8; save the table as CSV UTF-8"
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        # A quoted cell may span lines: the number is that of the row's last one.
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except csv.Error as error:
        raise UserError(
            f"{table}, line {reader.line_num}: no CSV ({error}); mend the quotes"
        ) from None
    if not rows:
        raise UserError(f"{table}: empty; write the columns {', '.join(COLUMNS)}")
    header = rows[0][1]
    absent = [name for name in COLUMNS if header.count(name) != 1]
    if absent:
        raise UserError(
            f"{table}: no column {', '.join(absent)} (or several), but {', '.join(header)}; "
            f"the first line names the columns {','.join(COLUMNS)}, separated by commas"
        )
    if len(rows) == 1:
        raise UserError(f"{table}: no image in it; write a line for each")
    raise_together(
        [
            f"{table}, line {number}: {len(row)} cells, but {len(header)} columns; write one cell "
            "per column, tags separated by ';', and quotes around a name with a comma"
            for number, row in rows
            if len(row) != len(header)
        ]
    )
    where = [header.index(name) for name in COLUMNS]
    return [_line(number, *(row[column] for column in where)) for number, row in rows[1:]]


def _line(number: int, image: str, tags: str, split: str) -> Line:
    names = dict.fromkeys(tag.strip() for tag in tags.split(";"))
    path = str(PurePosixPath(image)) if image else ""
    return Line(number, path, tuple(name for name in names if name), split)


def _image_id(path: str) -> str:
    return path.removesuffix(PurePosixPath(path).suffix)


def _line_problems(line: Line, classes: Sequence[str]) -> list[str]:
    problems = [
        f"unknown tag '{tag}'; choose from {', '.join(classes)}, or add it to classes"
        for tag in line.tags
        if tag not in classes
    ]
    problems += [f"tag {tag!r} spans lines; mend it" for tag in line.tags if tag.splitlines()[1:]]
    if line.split not in SPLITS:
        problems.append(f"unknown split '{line.split}'; choose from {', '.join(SPLITS)}")
    if line.split == "ood" and line.tags:
        problems.append("an ood image shows none of the classes; leave its tags empty")
    return problems


def _path_problems(image: str, root: Path) -> list[str]:
    if not image:
        return ["the image is blank; write its path, or delete the line"]
    if image.startswith("/") or ".." in PurePosixPath(image).parts:
        return [f"'{image}' may lie outside {root}; write the path from there, without '..'"]
    try:
        exists = (root / image).is_file()
    except OSError as error:
        return [f"'{image[:80]}' cannot be opened ({error.strerror}); correct the name"]
    if not exists:
        return [f"no image {root / image}; correct the name, or delete the line"]
    if not (root / image).resolve().is_relative_to(root.resolve()):
        return [f"'{image}' links to a place outside {root}; copy the image there"]
    return []


def _twins(lines: Sequence[Line]) -> list[str]:
    """What to say of images that are listed twice, or that only their suffix tells apart."""
    first: dict[str, Line] = {}
    problems = []
    for line in lines:
        if not line.image:
            continue
        twin = first.setdefault(_image_id(line.image), line)
        if twin is line:
            continue
        here = f"line {line.number}: '{line.image}'"
        if twin.image == line.image:
            problems.append(f"{here} is listed already in line {twin.number}; keep one")
        else:
            problems.append(
                f"{here} differs from '{twin.image}' in line {twin.number} by the suffix alone; "
                "rename one"
            )
    return problems
