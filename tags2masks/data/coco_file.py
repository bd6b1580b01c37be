"""Reading and checking an instances file in COCO's format.

Exports of annotation tools are accepted too: file names with backslashes or as URLs, integers
written as 40.0, and unused categories.
"""

import json
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

import pandas as pd

from tags2masks.errors import UserError, raise_together
from tags2masks.given import is_given, open_given

FIELDS = {
    "images": {"id": int, "file_name": str, "width": int, "height": int},
    "categories": {"id": int, "name": str},
    "annotations": {"image_id": int, "category_id": int},
}
URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
MEND = "correct the file, or download it again"


class Instances(NamedTuple):
    """An instances file: name by category id, image entries, annotations by image id."""

    path: Path
    names: dict[int, str]
    images: list[dict]
    objects: dict[int, list[dict]]


def read_instances(path: Path, left_out: list[str] | None = None) -> Instances:
    """Read and check an instances file.

    left_out: if given, annotations of an unknown image or category are left out, and described
    here. Raises UserError naming the file and every entry that is invalid, refers to an unknown
    image or category, or duplicates a name.
    """
    try:
        with open_given(path) as file:
            raw = json.load(file)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct its path") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: no whole JSON ({error}); download it again") from None
    for key in FIELDS:
        if not isinstance(raw, dict) or not isinstance(raw.get(key), list):
            raise UserError(
                f"{path}: no list '{key}'; expected a file of instances, with "
                f"{', '.join(FIELDS)} (captions and keypoints do not do)"
            )
    _make_whole(raw)
    raise_together(
        [
            f"{path}: {key}, entry {number}: {field} is {shown_field(entry, field)}; {MEND}"
            for key, fields in FIELDS.items()
            for number, entry in enumerate(raw[key])
            for field, kind in fields.items()
            if not isinstance(entry, dict) or type(entry.get(field)) is not kind
        ]
    )
    _drop_unused_twins(raw)
    names = {entry["id"]: entry["name"] for entry in raw["categories"]}
    objects: dict[int, list[dict]] = {entry["id"]: [] for entry in raw["images"]}
    problems = _twins(path, "categories", "id", raw) + _twins(path, "categories", "name", raw)
    problems += _twins(path, "images", "id", raw) + _twins(path, "images", "file_name", raw)
    unknown = problems if left_out is None else left_out
    for entry in raw["annotations"]:
        image, category = entry["image_id"], entry["category_id"]
        if category not in names:
            unknown.append(
                f"{path}: annotation {shown_field(entry, 'id')}: unknown category "
                f"{shown_field(entry, 'category_id')}; {MEND}"
            )
        elif image not in objects:
            unknown.append(
                f"{path}: annotation {shown_field(entry, 'id')}: no image "
                f"{shown_field(entry, 'image_id')}; {MEND}"
            )
        else:
            objects[image].append(entry)
    raise_together(problems)
    return Instances(path, names, raw["images"], objects)


def _make_whole(raw: dict) -> None:
    """Convert floats such as 40.0 in integer fields to int."""
    for key, fields in FIELDS.items():
        for field in (field for field, kind in fields.items() if kind is int):
            for entry in raw[key]:
                value = entry.get(field) if isinstance(entry, dict) else None
                if type(value) is float and value.is_integer():
                    entry[field] = int(value)


def _drop_unused_twins(raw: dict) -> None:
    """Remove unused categories whose name occurs twice.

    Roboflow's exports start with an unused root category that may have a class's name.
    """
    used = {entry["category_id"] for entry in raw["annotations"]}
    names = [entry["name"] for entry in raw["categories"]]
    shown = {entry["name"] for entry in raw["categories"] if entry["id"] in used}
    raw["categories"] = [
        entry
        for place, entry in enumerate(raw["categories"])
        if entry["id"] in used or entry["name"] not in {*shown, *names[:place]}
    ]


def _twins(path: Path, key: str, field: str, raw: dict) -> list[str]:
    values = pd.Series([entry[field] for entry in raw[key]], dtype=object)
    return [
        f"{path}: {key}: {field} {value!r} is there twice; keep one"
        for value in values[values.duplicated()].unique()
    ]


def local_name(name: str, folder: Path) -> str:
    """The path below folder of an image, from the name that an annotation tool wrote.

    For a URL it is the last part of its path; `?d=` is how Label Studio refers to local files.
    Backslashes separate folders, unless a file with exactly that name exists.
    """
    if URL.match(name):
        path, _, query = name.partition("#")[0].partition("?")
        path = parse_qs(query).get("d", [unquote(path)])[0]
        return path.replace("\\", "/").rpartition("/")[-1]
    if "\\" in name and not is_given(folder / name):
        return name.replace("\\", "/")
    return name


def shown_field(entry: object, field: str) -> str:
    """A field for an error message, shortened; the whole entry if it is not an object."""
    return repr(entry.get(field) if isinstance(entry, dict) else entry)[:40]


def shown_path(path: PurePosixPath | str) -> str:
    """A path for an error message: shortened, and without line breaks."""
    text = repr(str(path))[1:-1]
    return text if len(text) <= 300 else f"{text[:300]}…"
