"""CVAT's XML "CVAT for images 1.1": boxes, polygons, ellipses, masks and tags."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from tags2masks.errors import UserError
from tags2masks.given import open_given
from tags2masks.importing.items import (
    NO_IMAGE,
    Dropped,
    Item,
    Object,
    Options,
    Source,
    locator,
    split_named,
)
from tags2masks.importing.shapes import check_size, edges, ellipse, pasted, rectangle, run_lengths


def read(source: Path, options: Options) -> Source:
    """The images of an XML file, or of all in a folder; subsets, or the files' names, are splits.

    Raises UserError if there is no file, or if one is none of CVAT for images.
    """
    files = sorted(source.glob("*.xml")) if source.is_dir() else [source]
    if not files:
        raise UserError(f"{source}: no XML file in it; correct the path")
    root = options.images or (source if source.is_dir() else source.parent)
    locate, items, dropped, names = locator(root), [], [], []
    for file in files:
        tree = _tree(file)
        names += [label.findtext("name") or "" for label in tree.iter("label")]
        split = split_named(file.stem)
        items += _items(tree, split, locate, dropped)
    used = {name for item in items for name in (*item.tags, *(o.name for o in item.objects))}
    classes = tuple(dict.fromkeys(filter(None, names)))
    return Source(root, items, dropped, (*classes, *sorted(used - set(classes))))


def _tree(file: Path) -> ElementTree.Element:
    try:
        with open_given(file) as opened:
            tree = ElementTree.parse(opened).getroot()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); correct the path") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{file}: malformed XML ({error}); export it again") from None
    if tree.tag != "annotations" or tree.find("track") is not None:
        raise UserError(f"{file}: no annotations of images; export as 'CVAT for images 1.1'")
    return tree


def _items(
    tree: ElementTree.Element,
    split: str | None,
    locate: Callable[[str], str | None],
    dropped: list[Dropped],
) -> list[Item]:
    """The images of a file; split: of those without a subset."""
    items = []
    for image in tree.findall("image"):
        name = image.get("name", "")
        path = locate(name)
        if path is None:
            dropped.append(Dropped(name, NO_IMAGE))
            continue
        try:
            size = (int(image.get("height")), int(image.get("width")))
        except (TypeError, ValueError):
            dropped.append(Dropped(name, "an image without width and height"))
            continue
        tags = tuple(tag.get("label", "") for tag in image.findall("tag"))
        shapes = [shape for shape in image if shape.tag != "tag"]
        read = [_object(shape, size, name, dropped) for shape in shapes]
        own = split_named(image.get("subset", "")) or split
        objects = tuple(filter(None, read))
        items.append(Item(path, tags, objects, own, size, unread=None in read))
    return items


def _object(
    shape: ElementTree.Element, size: tuple[int, int], image: str, dropped: list[Dropped]
) -> Object | None:
    """A shape as an object; with its name alone if it has no area. None if it has no label."""
    name = shape.get("label")
    if not name:
        dropped.append(Dropped(image, f"a {shape.tag}: it has no label"))
        return None
    try:
        return _drawn(name, shape, size)
    except (ValueError, TypeError, OverflowError) as error:
        dropped.append(Dropped(image, f"a {shape.tag}: {error}; only its tag"))
        return Object(name)


def _drawn(name: str, shape: ElementTree.Element, size: tuple[int, int]) -> Object:
    """Raises ValueError or TypeError for shapes without an area, or without their numbers."""

    def numbers(*attributes: str) -> list[float]:
        return [float(shape.get(attribute)) for attribute in attributes]

    if shape.tag == "box":
        x1, y1, x2, y2 = numbers("xtl", "ytl", "xbr", "ybr")
        degrees = float(shape.get("rotation", 0))
        if not degrees:
            return Object(name, (x1, y1, x2, y2))
        return Object(name, edges(_turned((x1, y1, x2, y2), degrees)))
    if shape.tag == "polygon":
        points = [pair.split(",") for pair in shape.get("points", "").split(";")]
        return Object(name, segmentation=[[float(value) for pair in points for value in pair]])
    if shape.tag == "ellipse":
        polygon = ellipse(*numbers("cx", "cy", "rx", "ry"), float(shape.get("rotation", 0)))
        return Object(name, segmentation=polygon)
    if shape.tag == "mask":
        left, top, width, height = map(int, numbers("left", "top", "width", "height"))
        check_size((height, width))
        counts = [int(count) for count in shape.get("rle", "").split(",")]
        if min(counts) < 0 or sum(counts) != width * height:
            raise ValueError(f"an RLE of {sum(counts)} pixels, but it has {width * height}")
        # Runs along the rows of the mask's own box, of 0 first.
        part = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
        return Object(name, segmentation=run_lengths(pasted(part, left, top, size)))
    raise ValueError("it has no area")


def _turned(corners: tuple[float, float, float, float], degrees: float) -> list[list[float]]:
    """A box turned clockwise around its centre, as a polygon."""
    x1, y1, x2, y2 = corners
    (around,) = rectangle(0, 0, x2 - x1, y2 - y1, degrees)
    middle = [sum(around[place::2]) / 4 for place in (0, 1)]
    shift = ((x1 + x2) / 2 - middle[0], (y1 + y2) / 2 - middle[1])
    return [[value + shift[place % 2] for place, value in enumerate(around)]]
