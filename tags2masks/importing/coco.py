"""COCO's JSON: one file of instances, or a folder with one per split."""

import json
import math
from pathlib import Path, PurePosixPath

from tags2masks.data.coco_file import Instances, read_instances
from tags2masks.data.images import image_files
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


def read(source: Path, options: Options) -> Source:
    """The images of a file of instances, or of all such files below a folder, whose splits are in
    their names or folders. Raises UserError as `read_instances`, or if there is no file.
    """
    files = sorted(source.rglob("*.json")) if source.is_dir() else [source]
    if not files:
        raise UserError(f"{source}: no JSON file in it; correct the path")
    root = options.images or (source if source.is_dir() else source.parent)
    locate, items, dropped, classes = locator(root), [], [], {}
    for file in files:
        left_out: list[str] = []
        instances = read_instances(file, left_out)
        dropped += [Dropped(*_parted(line, file)) for line in left_out]
        unread = _unread(instances) if left_out else set()
        classes |= dict.fromkeys(instances.names.values())
        split = _split(file, source) if len(files) > 1 else None
        # Roboflow's splits, each beside its file, may have images of the same name.
        beside = file.is_relative_to(root) and any(image_files(file.parent))
        folder = file.parent.relative_to(root) if beside else PurePosixPath()
        for image in instances.images:
            name = image["file_name"]
            path = locate((folder / name).as_posix() if beside else name, split)
            if path is None:
                dropped.append(Dropped(name, NO_IMAGE))
                continue
            objects = [
                _object(entry, instances.names[entry["category_id"]])
                for entry in instances.objects[image["id"]]
            ]
            size = (image["height"], image["width"])
            items.append(Item(path, (), tuple(objects), split, size, unread=image["id"] in unread))
    return Source(root, items, dropped, tuple(classes))


def _parted(line: str, file: Path) -> tuple[str, str]:
    """Where and why, from what `read_instances` says of an annotation."""
    where, _, why = line.removeprefix(f"{file}: ").partition(": ")
    return f"{file}, {where}", why.partition(";")[0]


def _unread(instances: Instances) -> set[int]:
    """The images of annotations that `read_instances` left out for their unknown category."""
    with open_given(instances.path) as file:
        annotations = json.load(file)["annotations"]
    return {one["image_id"] for one in annotations if one["category_id"] not in instances.names}


def _split(file: Path, source: Path) -> str | None:
    words = [*file.relative_to(source).parts[:-1], *file.stem.replace("-", "_").split("_")]
    words += [word.rstrip("0123456789") for word in words]  # train2017
    return next(filter(None, map(split_named, words)), None)


def _object(entry: dict, name: str) -> Object:
    segmentation, corners = entry.get("segmentation"), None
    try:
        x, y, width, height = map(float, entry["bbox"])
        if all(map(math.isfinite, (x, y, width, height))):
            corners = (x, y, x + width, y + height)
    except (KeyError, TypeError, ValueError, OverflowError):
        pass  # its region says where it is
    return Object(name, corners, segmentation or None, bool(entry.get("iscrowd")))
