"""A folder per class, optionally below a folder per split: `train/cat/0.jpg`, `cat/0.jpg`.

An image in a folder `none`, `negative` or `background` shows none of the classes. The same image in
the folders of two classes is two images, as for classification; `tags2masks check` tells it.
"""

from pathlib import Path, PurePosixPath

from tags2masks.errors import UserError
from tags2masks.importing.items import (
    Dropped,
    Item,
    Options,
    Source,
    folder_given,
    images_below,
    split_named,
)

EMPTY = ("none", "negative", "background")


def read(source: Path, options: Options) -> Source:
    """The images of a folder with one sub-folder per class; raises UserError if there is none."""
    paths = images_below(folder_given(source, "images"))
    divided = any(_in_train(PurePosixPath(path).parts) for path in paths)
    items, dropped = [], []
    for path in paths:
        parts = PurePosixPath(path).parts
        split, parts = (split_named(parts[0]), parts[1:]) if divided else (None, parts)
        if divided and split is None:
            dropped.append(Dropped(path, "outside of train, val and test; move it there"))
            continue
        if len(parts) < 2:
            dropped.append(Dropped(path, "in no folder of a class; move it into one"))
            continue
        if split_named(parts[0]):
            folder = (source / path).parents[len(parts) - 2]
            raise UserError(
                f"{folder}: would be a class of the name '{parts[0]}'; give the folder that holds "
                "train and val with a sub-folder per class each, or rename it"
            )
        tags = () if parts[0].lower() in EMPTY else (parts[0],)
        items.append(Item(path, tags, split=split))
    if not any(item.tags for item in items):
        raise UserError(f"{source}: no sub-folder with images, one per class; correct the path")
    return Source(source, items, dropped)


def _in_train(parts: tuple[str, ...]) -> bool:
    """Whether a path is that of an image in a sub-folder of `train`."""
    return len(parts) > 2 and split_named(parts[0]) == "train"
