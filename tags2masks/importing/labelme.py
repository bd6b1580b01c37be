"""LabelMe's JSON: a file per image with polygons, rectangles, circles, masks; flags are tags."""

import base64
import io
import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from tags2masks.errors import UserError
from tags2masks.given import read_text
from tags2masks.importing.items import (
    NO_IMAGE,
    Dropped,
    Item,
    Object,
    Options,
    Source,
    locator,
    split_of_path,
)
from tags2masks.importing.shapes import ellipse, pasted, run_lengths

BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    OSError,
    SyntaxError,
    Image.DecompressionBombError,
)


def read(source: Path, options: Options) -> Source:
    """The images of all JSON files below a folder; folders named after a split say theirs.

    Raises UserError if there is no file.
    """
    files = sorted(source.rglob("*.json")) if source.is_dir() else [source]
    if not files:
        raise UserError(f"{source}: no JSON file in it; correct the path")
    root = options.images or (source if source.is_dir() else source.parent)
    locate, items, dropped = locator(root), [], []
    for file in files:
        try:
            about = json.loads(read_text(file))
            shapes, name = list(about["shapes"]), about["imagePath"]
            size = (int(about["imageHeight"]), int(about["imageWidth"]))
            flags = about.get("flags") or {}
            tags = tuple(flag for flag, set_ in flags.items() if set_ is True)
        except (*BROKEN, RecursionError) as error:
            dropped.append(Dropped(str(file), f"no LabelMe annotation ({error!r})"))
            continue
        path = locate(str(name), beside=file.parent)
        if path is None:
            embedded = "; it is in the JSON alone: save it" if about.get("imageData") else ""
            dropped.append(Dropped(f"{file}: {name}", NO_IMAGE + embedded))
            continue
        read = [_object(shape, size, file, dropped) for shape in shapes]
        objects = tuple(filter(None, read))
        items.append(Item(path, tags, objects, split_of_path(path), size, unread=None in read))
    return Source(root, items, dropped)


def _object(shape: object, size: tuple[int, int], file: Path, dropped: list) -> Object | None:
    """A shape as an object; with its name alone if it has no area. None if it has no label."""
    name = shape.get("label") if isinstance(shape, dict) else None
    if not isinstance(name, str | int):
        dropped.append(Dropped(str(file), "a shape without a label"))
        return None
    try:
        return _drawn(str(name), shape, size)
    except BROKEN as error:
        said = str(error) if isinstance(error, ValueError) else repr(error)
        dropped.append(Dropped(str(file), f"{name}: no area ({said}); only its tag"))
        return Object(str(name))


def _drawn(name: str, shape: dict, size: tuple[int, int]) -> Object:
    """Raises ValueError for shapes without an area, and others of `BROKEN`."""
    kind = shape.get("shape_type") or "polygon"
    points = [(float(x), float(y)) for x, y in shape["points"]]
    if kind == "polygon":
        return Object(name, segmentation=[[value for point in points for value in point]])
    if kind == "rectangle":
        (x1, y1), (x2, y2) = points[0], points[-1] if len(points) == 2 else points[2]
        return Object(name, (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
    if kind == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return Object(name, segmentation=ellipse(x, y, radius, radius))
    if kind == "mask":
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"])), formats=["PNG"]) as png:
            part = np.asarray(png.convert("L")) > 0
        region = pasted(part, round(points[0][0]), round(points[0][1]), size)
        return Object(name, segmentation=run_lengths(region))
    raise ValueError(f"a {kind}")
