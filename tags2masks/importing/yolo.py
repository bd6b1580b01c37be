"""YOLO's label files: a text file per image, beside it or in `labels/` for `images/`.

A line is a class number with a box (centre, width, height) or the corners of a polygon, all as
shares of the image; of poses, whose data.yaml has `kpt_shape`, a box and its keypoints. An image
without a label file shows none of the classes, as Ultralytics has it.
"""

import math
from pathlib import Path, PurePosixPath

import yaml

from tags2masks.config.reading import read_config
from tags2masks.errors import UserError
from tags2masks.given import is_given, read_text
from tags2masks.importing.items import (
    SPLIT_NAMES,
    Dropped,
    Item,
    Object,
    Options,
    Source,
    folder_given,
    images_below,
    locator,
    split_of_path,
)

NAME_LISTS = ("classes.txt", "obj.names", "labels/classes.txt", "data/obj.names")


def read(source: Path, options: Options) -> Source:
    """The images below the folder of `source`, which is that folder or its data.yaml.

    The split is that of the list that names the image (train.txt, val.txt, …), or of the first
    folder of its path that is called after one (train, valid, …).
    Raises UserError if no file says the classes' names.
    """
    root = folder_given(options.images or (source if source.is_dir() else source.parent), "images")
    classes, listed, keypoints = _classes(source), _listed(source, root), _keypoints(source)
    items, dropped, labelled = [], [], 0
    for path in images_below(root):
        split = listed.get(path) or split_of_path(path)
        file = _labels(root, path)
        labelled += file is not None
        objects = _objects(file, classes, keypoints, dropped) if file else []
        read = tuple(filter(None, objects))
        items.append(Item(path, objects=read, split=split, unread=None in objects))
    if not labelled:
        raise UserError(f"{root}: no label file (.txt) of an image; correct the path")
    return Source(root, items, dropped, tuple(classes.values()))


def _classes(source: Path) -> dict[int, str]:
    """Name by number, from data.yaml or a list of names."""
    folder = source if source.is_dir() else source.parent
    file = _data_file(source)
    try:
        if file is not None:
            names = _written(file)
            pairs = names.items() if isinstance(names, dict) else enumerate(names)
            if found := {int(number): str(name) for number, name in pairs}:
                return found
        for name in NAME_LISTS:
            if is_given(folder / name):
                lines = read_text(folder / name).splitlines()
                return dict(enumerate(line.strip() for line in lines if line.strip()))
    except UserError:
        raise
    except (OSError, ValueError, TypeError, AttributeError) as error:
        where = file or folder
        raise UserError(f"{where}: no names of classes ({error}); correct `names`") from None
    raise UserError(
        f"{folder}: no data.yaml with `names`, and no classes.txt; add one, in the order of the "
        "numbers"
    )


def _data_file(source: Path) -> Path | None:
    """The data.yaml, which may have another name."""
    files = [source] if source.is_file() else sorted(source.glob("*.yaml"))
    return next((file for file in files if file.suffix in (".yaml", ".yml")), None)


def _keypoints(source: Path) -> int:
    """The number of values that follow an object's box: 0, or as many as `kpt_shape` says."""
    file = _data_file(source)
    shape = read_config(file).get("kpt_shape") if file else None
    if shape is None:
        return 0
    if not (isinstance(shape, list) and shape and all(type(n) is int and n > 0 for n in shape)):
        raise UserError(f"{file}: kpt_shape: {shape} is no list of numbers; correct it")
    return math.prod(shape)


def _written(file: Path) -> list | dict:
    """The names in a data.yaml as they are written there: `no` is a name, not False."""
    read_config(file)  # says what is wrong
    whole = yaml.load(read_text(file), Loader=yaml.BaseLoader)
    names = (whole or {}).get("names") or []
    if isinstance(names, str):
        raise ValueError("a text, not a list")
    return names


def _listed(source: Path, root: Path) -> dict[str, str]:
    """The split of each image in the lists of images beside data.yaml."""
    folder = source if source.is_dir() else source.parent
    lists = {
        name: folder / f"{name}.txt" for name in SPLIT_NAMES if is_given(folder / f"{name}.txt")
    }
    if not lists:
        return {}
    locate, listed = locator(root), {}
    for name, file in lists.items():
        try:
            paths = map(locate, filter(None, map(str.strip, read_text(file).splitlines())))
            listed |= dict.fromkeys(filter(None, paths), SPLIT_NAMES[name])
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: no list of images ({error}); remove it") from None
    return listed


def _labels(root: Path, path: str) -> Path | None:
    """The label file of an image: beside it, or in `labels` in place of the last `images`."""
    parts = list(PurePosixPath(path).with_suffix(".txt").parts)
    candidates = [root.joinpath(*parts)]
    if "images" in parts:
        place = len(parts) - 1 - parts[::-1].index("images")
        candidates.append(root.joinpath(*parts[:place], "labels", *parts[place + 1 :]))
    elif root.name == "images":
        candidates.append(root.parent.joinpath("labels", *parts))
    return next(filter(is_given, candidates), None)


def _objects(
    file: Path, classes: dict[int, str], keypoints: int, dropped: list[Dropped]
) -> list[Object | None]:
    """The objects of a label file; None for a line, or a file, that cannot be read.

    keypoints: the number of values that follow a box.
    """
    objects: list[Object | None] = []
    try:
        lines = read_text(file).splitlines()
    except (OSError, ValueError) as error:
        dropped.append(Dropped(str(file), f"cannot be read ({error})"))
        return [None]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            kind, *values = map(float, line.split())
            if not all(map(math.isfinite, (kind, *values))) or not kind.is_integer():
                raise ValueError
        except ValueError:
            dropped.append(Dropped(where, "no class number and shares"))
            objects.append(None)
            continue
        if int(kind) not in classes:
            dropped.append(Dropped(where, f"label {int(kind)} has no name"))
            objects.append(None)
        elif len(values) - keypoints in (4, 5):  # the fifth is a prediction's confidence
            x, y, width, height = values[:4]
            corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            objects.append(Object(classes[int(kind)], corners, relative=True))
        elif keypoints:
            dropped.append(Dropped(where, f"no box and {keypoints} values of keypoints"))
            objects.append(None)
        elif len(values) >= 6 and len(values) % 2 == 0:
            objects.append(Object(classes[int(kind)], segmentation=[values], relative=True))
        else:
            dropped.append(Dropped(where, "neither a box (4 shares) nor a polygon (6 or more)"))
            objects.append(None)
    return objects
