"""A folder of images with a table of tags, and optionally a folder of masks."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import pandas as pd

from tags2masks.config.dataset_base import is_taken
from tags2masks.config.folders import Folder
from tags2masks.config.mistakes import choices
from tags2masks.data.boxes import CORNERS, Box, box_table
from tags2masks.data.images import image_files
from tags2masks.data.index import SPLITS
from tags2masks.data.truth import MaskTable, mask_files, plain_table, value_table
from tags2masks.data.warnings import Warned, unlisted_warnings
from tags2masks.errors import UserError, raise_together
from tags2masks.given import check_given, leads_outside
from tags2masks.user_tables import box_rows, clean_path, image_id, row_id, spelling, tag_rows

SEPARATORS = (",", "|", "/", "+", "&", ":", "\t", " ")
PIXEL = re.compile(r"-?\d{1,9}")


class Line(NamedTuple):
    """A line of the table, with stripped cells."""

    number: int
    image: str
    tags: tuple[str, ...]
    split: str


def list_classes(spec: Folder, root: Path | str) -> list[str]:
    """The config's classes, or the tags of all splits in alphabetical order.

    Raises UserError naming the table if it has no tag, and the lines of tags that cannot be classes
    or are probably mistakes: `cat,dog`, or `Cat` and `cat`.
    """
    if spec.classes:
        return list(spec.classes)
    lines = _lines(spec)
    if not any(line.tags for line in lines):
        raise UserError(f"{spec.tags}: no tag in the column tags; tag the training images")
    raise_together([f"{spec.tags}, {problem}" for problem in _odd_tags(lines)])
    return sorted({tag for line in lines for tag in line.tags})


def list_images(
    spec: Folder, root: Path | str, split: str, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The images of the split in the table `spec.tags`.

    root: the folder of the images. An image's id is its path without the suffix.
    Raises UserError naming the table, the line and the value of every mistake, in all splits.
    """
    lines = _lines(spec)
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
    mine = [line for line in lines if line.split == split]
    rows = [(image_id(line.image), line.image, split, line.tags) for line in mine]
    return pd.DataFrame(rows, columns=["image", "path", "split", "tags"])


def list_warnings(spec: Folder) -> list[Warned]:
    """Warnings on images below `spec.images` without a row in the table; masks are skipped."""
    root = Path(spec.images)
    named = {line.image for line in _lines(spec)}
    masks = Path(spec.masks).resolve() if spec.masks else None
    unlisted = sorted(
        path.relative_to(root).as_posix()
        for path in image_files(root)
        if path.relative_to(root).as_posix() not in named
        and (masks is None or not path.resolve().is_relative_to(masks))
    )
    return unlisted_warnings(unlisted, spec.tags, spec.images)


def list_masks(
    spec: Folder, root: Path | str, index: pd.DataFrame, seed: int = 0, folder: str = "truth"
) -> pd.DataFrame:
    """List the masks `<image>.png` below root, the folder of the masks."""
    return mask_files(index["image"], [f"{image}.png" for image in index["image"]], root)


def list_boxes(
    spec: Folder, root: Path | str, index: pd.DataFrame, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The boxes of the index's images in the table `spec.boxes`.

    Raises UserError naming the table, the line and the value of every mistake.
    """
    table, known = Path(spec.boxes), {image_id(line.image): line.split for line in _lines(spec)}
    mine = set(index["image"])
    boxes, problems = [], []
    for number, cells in box_rows(table):
        origin = f"{table}, line {number}"
        image, name = row_id(cells), cells["class"]
        wrong = [] if known.get(image) in ("train", "val") else [_unknown_image(cells["image"])]
        if name not in classes:
            wrong.append(f"unknown class '{name}'; {choices(name, classes)}")
        if (difficult := cells.get("difficult") or "0") not in ("0", "1"):
            wrong.append(f"difficult is '{difficult}'; write 0 or 1")
        corners = [cells[corner] for corner in CORNERS]
        if not all(PIXEL.fullmatch(corner) for corner in corners):
            wrong.append(f"corners are whole pixels, but these are {', '.join(corners)}; mend them")
        if wrong:
            problems += [f"{origin}: {problem}" for problem in wrong]
        elif image in mine:
            boxes.append(Box(image, name, tuple(map(int, corners)), difficult == "1", origin))
    raise_together(problems)
    return box_table(boxes, index)


def _unknown_image(image: str) -> str:
    return f"no image '{image}' of split train or val in the table of tags; correct it"


def mask_table(spec: Folder, classes: Sequence[str]) -> MaskTable:
    """The mask table of `spec.mask_values`, by default the identity (0 background, 1 the first of
    classes, …, 255 ignored).
    """
    if spec.mask_values is None:
        return plain_table(len(classes))
    return value_table(spec.mask_values, {name: at for at, name in enumerate(classes, start=1)})


def _lines(spec: Folder) -> list[Line]:
    return [_line(number, **cells) for number, cells in tag_rows(Path(spec.tags))]


def _line(number: int, image: str, tags: str, split: str) -> Line:
    names = dict.fromkeys(tag.strip() for tag in tags.split(";"))
    return Line(number, clean_path(image), tuple(name for name in names if name), split)


def _line_problems(line: Line, classes: Sequence[str]) -> list[str]:
    problems = [
        f"unknown tag '{tag}'; {_unseparated(tag, classes) or choices(tag, classes)}, or add it to "
        "classes"
        for tag in line.tags
        if tag not in classes
    ]
    problems += [f"tag {tag!r} spans lines; mend it" for tag in line.tags if tag.splitlines()[1:]]
    if line.split not in SPLITS:
        problems.append(f"unknown split '{line.split}'; choose from {', '.join(SPLITS)}")
    if line.split == "ood" and line.tags:
        problems.append("an ood image shows none of the classes; leave its tags empty")
    return problems


def _odd_tags(lines: Sequence[Line]) -> list[str]:
    """Messages for tags that cannot be classes or are probably mistakes, with the first line."""
    first: dict[str, int] = {}
    for line in lines:
        for tag in line.tags:
            first.setdefault(tag, line.number)
    spelled: dict[str, str] = {}
    problems = []
    for tag, number in first.items():
        twin = spelled.setdefault(spelling(tag), tag)
        if is_taken(tag):
            background = tag.casefold() == "background"
            why = "is implied; take it out" if background else "means something else; rename it"
            problems.append(f"line {number}: the tag '{tag}' {why}")
        elif hint := _unseparated(tag, first):
            problems.append(f"line {number}: tag '{tag}'; {hint}, or list it in `classes`")
        elif twin != tag:
            problems.append(
                f"line {number}: tag '{tag}' beside '{twin}' in line {first[twin]}; write one of "
                "them, or list both in `classes`"
            )
    return problems


def _unseparated(tag: str, known: Collection[str]) -> str:
    """A message for a tag that looks like several tags; "" if it does not.

    A comma or bar always counts as a separator. Blanks, slashes and others count only if all parts
    are tags themselves.
    """
    for separator in SEPARATORS:
        parts = [part.strip() for part in tag.split(separator)]
        if len(parts) > 1 and (separator in ",|" or all(part in known for part in parts)):
            return f"tags are separated by ';', not by '{separator}'"
    return ""


def _path_problems(image: str, root: Path) -> list[str]:
    if not image:
        return ["the image is blank; write its path, or delete the line"]
    if leads_outside(image):
        return [f"'{image}' may lie outside {root}; write the path from there, without '..'"]
    try:
        check_given(root / image)
    except FileNotFoundError:
        if twin := _in_other_letters(root / image):
            return [
                f"no image {root / image}: the file's name there looks the same, but is of other "
                f"characters ({twin!a}, as macOS writes it); rename the file, or copy its name here"
            ]
        return [f"no image {root / image}; correct the name, or delete the line"]
    except OSError as error:
        return [f"'{image[:80]}' cannot be opened ({error.strerror}); correct the name"]
    if not (root / image).resolve().is_relative_to(root.resolve()):
        return [f"'{image}' links to a place outside {root}; copy the image there"]
    return []


def _in_other_letters(path: Path) -> str | None:
    """The name of a file in the same folder that is this one in another Unicode form, if any."""
    if path.name.isascii() or not path.parent.is_dir():
        return None
    wanted = normalize("NFC", path.name)
    names = (other.name for other in path.parent.iterdir())
    return next((name for name in names if normalize("NFC", name) == wanted), None)


def _twins(lines: Sequence[Line]) -> list[str]:
    """Messages for images that are listed twice, or whose names differ only by the suffix."""
    first: dict[str, Line] = {}
    problems = []
    for line in lines:
        if not line.image:
            continue
        twin = first.setdefault(image_id(line.image), line)
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
