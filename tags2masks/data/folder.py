"""A folder of images with a table of tags, and perhaps a folder of masks."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.config.datasets import Folder
from tags2masks.config.project import choices
from tags2masks.data.boxes import CORNERS, Box, box_table
from tags2masks.data.index import SPLITS
from tags2masks.data.truth import mask_files, plain_table
from tags2masks.errors import UserError, raise_together
from tags2masks.user_tables import read_rows

COLUMNS = ("image", "tags", "split")
BOX_COLUMNS = ("image", "class", *CORNERS)
PIXEL = re.compile(r"-?\d{1,9}")


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
    hint = "tags separated by ';', "
    rows = read_rows(Path(spec.tags), COLUMNS, key="tags", hint=hint)
    lines = [_line(number, **cells) for number, cells in rows]
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


def list_masks(
    spec: Folder, root: Path | str, index: pd.DataFrame, seed: int = 0, folder: str = "truth"
) -> pd.DataFrame:
    """The mask of an image is `<image>.png` below root, the folder of the masks."""
    return mask_files(index["image"], [f"{image}.png" for image in index["image"]], root)


def list_boxes(
    spec: Folder, root: Path | str, index: pd.DataFrame, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The boxes of the table `spec.boxes`; `difficult` may be left out of it.

    Raises UserError naming the table, the line and the value of every mistake.
    """
    table, known = Path(spec.boxes), set(index["image"])
    boxes, problems = [], []
    for number, cells in read_rows(table, BOX_COLUMNS, ("difficult",), key="boxes"):
        origin = f"{table}, line {number}"
        image, name = _image_id(_clean(cells["image"])), cells["class"]
        wrong = [] if image in known else [_unknown_image(cells["image"])]
        if name not in classes:
            wrong.append(f"unknown class '{name}'; {choices(name, classes)}")
        if (difficult := cells.get("difficult") or "0") not in ("0", "1"):
            wrong.append(f"difficult is '{difficult}'; write 0 or 1")
        corners = [cells[corner] for corner in CORNERS]
        if not all(PIXEL.fullmatch(corner) for corner in corners):
            wrong.append(f"corners are whole pixels, but these are {', '.join(corners)}; mend them")
        if wrong:
            problems += [f"{origin}: {problem}" for problem in wrong]
        else:
            boxes.append(Box(image, name, tuple(map(int, corners)), difficult == "1", origin))
    raise_together(problems)
    return box_table(boxes, index)


def _unknown_image(image: str) -> str:
    return f"no image '{image}' of split train or val in the table of tags; correct it"


def mask_table(spec: Folder, classes: Sequence[str]) -> np.ndarray:
    """The files hold our ids: 0 background, 1 the first of classes, …, 255 ignored."""
    return plain_table(len(classes))


def _line(number: int, image: str, tags: str, split: str) -> Line:
    names = dict.fromkeys(tag.strip() for tag in tags.split(";"))
    return Line(number, _clean(image), tuple(name for name in names if name), split)


def _clean(image: str) -> str:
    return str(PurePosixPath(image)) if image else ""


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
