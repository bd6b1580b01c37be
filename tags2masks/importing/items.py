"""What a reader of a format gives: images with tags and objects, and what it had to leave out."""

import os
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from tags2masks.data.coco_file import local_name
from tags2masks.data.images import image_files
from tags2masks.errors import UserError

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val"}
SPLIT_NAMES |= {"validation": "val", "test": "test", "testing": "test"}
"""Names of splits in other programs; test becomes val where there is no other val."""


class Object(NamedTuple):
    """An object of an image.

    corners: x1, y1, x2, y2 of its edges; segmentation: polygons or an RLE as COCO has them; either
    may be None. relative: coordinates are shares of the image's width and height, not pixels.
    """

    name: str
    corners: tuple[float, float, float, float] | None = None
    segmentation: list[list[float]] | dict | None = None
    difficult: bool = False
    relative: bool = False


class Item(NamedTuple):
    """An image of a source.

    path: below the source's root. tags: labels of the whole image; those of objects come on top.
    size: (height, width) as the annotations say. mask: a file of colours or numbers, whose meaning
    the source has. unread: whether annotations of it cannot be read, so that it may show more.
    """

    path: str
    tags: tuple[str, ...] = ()
    objects: tuple[Object, ...] = ()
    split: str | None = None
    size: tuple[int, int] | None = None
    mask: Path | None = None
    unread: bool = False


class Dropped(NamedTuple):
    """Something of the source that is not imported: where it is, and why."""

    where: str
    why: str


class Source(NamedTuple):
    """What a reader gives.

    root: the folder that paths of items are below. classes: in the source's order, if it has one.
    mask_values: the meaning of the pixels in items' masks, as the config's `mask_values`.
    of_no_split: why an image without a split stays out, where others have one.
    """

    root: Path
    items: list[Item]
    dropped: list[Dropped]
    classes: tuple[str, ...] | None = None
    mask_values: dict[str, str] | None = None
    of_no_split: str = "in none of the splits"


class Options(NamedTuple):
    """What the user says beside the source: folders of images and masks, a table of colours."""

    images: Path | None = None
    masks: Path | None = None
    table: Path | None = None


def folder_given(path: Path, what: str) -> Path:
    """The path, if it is a folder; raises UserError otherwise."""
    if not path.is_dir():
        raise UserError(f"{path}: no such folder of {what}; correct the path")
    return path


def images_below(root: Path) -> list[str]:
    """The images below a folder, as sorted paths below it."""
    return sorted(path.relative_to(root).as_posix() for path in image_files(root))


def locator(root: Path) -> Callable[..., str | None]:
    """A function from the name that an annotation has for its image, and its split or the folder of
    its file if known, to the path below root.

    The image beside the annotation comes first; of an annotation among images no other is meant by
    a name without a folder. Names may be URLs, paths on another machine, or have a prefix that
    Label Studio adds to uploads.
    What does not name a folder that is here is found in any folder, if one image alone has the
    name, or only one below a folder that is named after the split.
    None: no such image, or several.
    """
    paths = images_below(folder_given(root, "images"))
    known, named = set(paths), defaultdict(list)
    for path in paths:
        named[PurePosixPath(path).name].append(path)
    folders = {PurePosixPath(path).parent.as_posix() for path in paths}

    def locate(name: str, split: str | None = None, beside: Path | None = None) -> str | None:
        query = re.search(r"[?&]d=([^&]+)", name)  # Label Studio's reference to a local file
        path = unquote(query[1]) if query else local_name(name, root)
        path = PurePosixPath(os.path.normpath(path.lstrip("/"))).as_posix() if path else ""
        if beside is not None and beside.is_relative_to(root):
            folder = beside.relative_to(root).as_posix()
            near = PurePosixPath(os.path.normpath(f"{folder}/{path}")).as_posix()
            if near in known:
                return near
            if folder in folders and "/" not in path:
                return None
        parts = [part for part in PurePosixPath(path).parts if part != ".."]
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            if end in known:
                return end
            if len(parts) > start + 1 and (root / parts[start]).is_dir():
                return None  # in this folder, where it is not: another of its name is not meant
        last = PurePosixPath(path).name
        for candidate in (last, re.sub(r"^[0-9a-f]{8}-", "", last)):
            found = named[candidate]
            mine = [one for one in found if split and split_of_path(one) == split]
            if len(mine) == 1 or len(found) == 1:
                return (mine or found)[0]
        return None

    return locate


NO_IMAGE = "no image of this name, or several; give their folder with --images"


def split_named(text: str) -> str | None:
    """The split that a folder or file is named after: "valid" is val; None for other names."""
    return SPLIT_NAMES.get(text.strip().lower())


def split_of_path(path: str) -> str | None:
    """The split of the first folder of an image's path that is named after one, also with a year:
    of `valid` in `data/valid/0.jpg`, of `train2017`; None if there is none.
    """
    folders = PurePosixPath(path).parts[:-1]
    names = (name for part in folders for name in (part, part.rstrip("0123456789")))
    return next(filter(None, map(split_named, names)), None)
