"""Label Studio's JSON export: choices, rectangles, ellipses, polygons and brushes.

Choices are tags. Of several annotations of a task the ground truth is taken, or else the last that
was not cancelled.
"""

import json
from pathlib import Path

from tags2masks.errors import UserError
from tags2masks.given import read_text
from tags2masks.importing.brush import decode_brush
from tags2masks.importing.items import NO_IMAGE, Dropped, Item, Object, Options, Source, locator
from tags2masks.importing.shapes import edges, ellipse, rectangle, run_lengths

BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
WHOLE = ("choices", "labels")  # of the whole image, or beside a shape that has no label itself
SILENT = ("relation", "textarea", "rating", "number", "datetime")  # say nothing of classes


def read(source: Path, options: Options) -> Source:
    """The tasks of an export as JSON (not JSON-MIN); raises UserError for other files."""
    try:
        tasks = json.loads(read_text(source))
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror}); correct the path") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source}: no whole JSON ({error}); export it again") from None
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and isinstance(task.get("annotations"), list) for task in tasks
    ):
        raise UserError(f"{source}: no list of tasks with annotations; export as 'JSON'")
    root = options.images or source.parent
    locate, items, dropped = locator(root), [], []
    for task in tasks:
        where = f"task {task.get('id')}"
        names = _image_names(task.get("data"))
        path = next(filter(None, map(locate, names)), None)
        if path is None:
            dropped.append(Dropped(f"{where}: {', '.join(names)}", NO_IMAGE))
            continue
        annotation = _chosen(task["annotations"], where, dropped)
        if annotation is None:
            continue
        items.append(_item(path, annotation.get("result"), where, dropped))
    return Source(root, items, dropped)


def _item(path: str, results: object, where: str, dropped: list[Dropped]) -> Item:
    """The image of a task with what an annotation's results say of it."""
    tags, objects, size, unread = [], [], None, False
    for result in results if isinstance(results, list) else [None]:
        try:
            kind = result["type"]
            if kind in SILENT:
                continue
            names = _labels(kind, result["value"])
        except BROKEN as error:
            dropped.append(Dropped(where, f"a result that cannot be read ({_said(error)})"))
            unread = True
            continue
        if kind in WHOLE:
            tags += names
            continue
        try:
            size = (int(result["original_height"]), int(result["original_width"]))
            corners, segmentation = _drawn(kind, result["value"], size)
        except BROKEN as error:
            dropped.append(Dropped(where, f"{kind}: no area ({_said(error)}); only the tag"))
            corners = segmentation = None
        objects += [Object(name, corners, segmentation) for name in names]
    return Item(path, tuple(dict.fromkeys(tags)), tuple(objects), size=size, unread=unread)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else repr(error)


def _image_names(data: object) -> list[str]:
    """The texts of a task's data that may name its image, with those of a key `image` first."""
    if not isinstance(data, dict):
        return []
    names = {key: text for key, text in data.items() if isinstance(text, str) and text}
    return [names[key] for key in sorted(names, key=lambda key: key not in ("image", "img"))]


def _chosen(annotations: list, where: str, dropped: list[Dropped]) -> dict | None:
    valid = [one for one in annotations if isinstance(one, dict) and not one.get("was_cancelled")]
    if not valid:
        dropped.append(Dropped(where, "not annotated, or skipped"))
        return None
    if len(valid) > 1:
        dropped.append(Dropped(where, "more than one annotation; one is taken"))
    return next((one for one in valid if one.get("ground_truth")), valid[-1])


def _labels(kind: str, value: dict) -> list[str]:
    """The labels of a result; raises ValueError if it has none."""
    names = value.get(kind)
    if not isinstance(names, list) or (not names and kind not in WHOLE):
        raise ValueError(f"{kind}: no label")
    return [str(name) for name in names]


def _drawn(kind: str, value: dict, size: tuple[int, int]) -> tuple:
    """The corners and the segmentation of a result; raises ValueError for other kinds."""

    def pixels(*keys: str) -> list[float]:
        sides = {"x": 1, "width": 1, "radiusX": 1}
        return [float(value[key]) / 100 * size[sides.get(key, 0)] for key in keys]

    corners = segmentation = None
    if kind == "rectanglelabels":
        turned = rectangle(*pixels("x", "y", "width", "height"), float(value.get("rotation") or 0))
        corners = edges(turned)
    elif kind == "ellipselabels":
        degrees = float(value.get("rotation") or 0)
        segmentation = ellipse(*pixels("x", "y", "radiusX", "radiusY"), degrees)
    elif kind == "polygonlabels":
        points = [(float(x) / 100 * size[1], float(y) / 100 * size[0]) for x, y in value["points"]]
        segmentation = [[part for point in points for part in point]]
    elif kind == "brushlabels":
        segmentation = run_lengths(decode_brush(value["rle"], size))
    else:
        raise ValueError("a kind without one")
    return corners, segmentation
