"""A table with a row per image and a column of 0 and 1 per class."""

from pathlib import Path

from tags2masks.errors import UserError
from tags2masks.importing.items import (
    NO_IMAGE,
    Dropped,
    Item,
    Options,
    Source,
    locator,
    split_named,
)
from tags2masks.user_tables import header_of, read_rows

NAMES = ("image", "filename", "file", "file_name", "image_id", "id", "path", "name")
NUMBERS = ("image_id", "id", "")  # pandas gives the column of its numbers no name
YES, NO = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no", ""}
SUFFIXES = ("", ".jpg", ".jpeg", ".png", ".tif", ".JPG", ".JPEG", ".PNG")


def read(source: Path, options: Options) -> Source:
    """The images of a table. Of its columns called as one of `NAMES` the one that names most images
    counts, or else its first column; the suffix may be absent. A column `split` is their split;
    other columns without 0 and 1 are dropped.

    Raises UserError if no column has 0 and 1 alone, or as `read_rows`.
    """
    header = header_of(source, key="SOURCE")
    rows = read_rows(source, header, key="SOURCE")
    root = options.images or source.parent
    locate = locator(root)

    def image_of(cell: str) -> str | None:
        return next(filter(None, (locate(cell + end) for end in SUFFIXES)), None)

    candidates = sorted(
        (name for name in header if name.lower() in NAMES), key=lambda n: NAMES.index(n.lower())
    )
    named = max(
        candidates or header[:1],
        key=lambda name: sum(image_of(row[name]) is not None for _, row in rows),
    )
    split = next((name for name in header if name.lower() == "split" and name != named), None)
    dropped, classes = [], []
    for name in header:
        if name in (named, split):
            continue
        if name.lower() in NUMBERS:  # of two rows they may be 0 and 1
            dropped.append(Dropped(str(source), f"column '{name}' is no class, but a number"))
            continue
        odd = [row[name] for _, row in rows if row[name].lower() not in YES | NO]
        if odd:
            why = f"column '{name}' is no class: it has '{odd[0]}', not 0 and 1 alone"
            dropped.append(Dropped(str(source), why))
        else:
            classes.append(name)
    if not classes:
        raise UserError(
            f"{source}: no column of 0 and 1, which would be a class; its columns are "
            f"{', '.join(header)}"
        )
    items = []
    for number, row in rows:
        path = image_of(row[named])
        if path is None:
            dropped.append(Dropped(f"line {number}: {row[named]}", NO_IMAGE))
            continue
        tags = tuple(name for name in classes if row[name].lower() in YES)
        items.append(Item(path, tags, split=split_named(row[split]) if split else None))
    return Source(root, items, dropped, tuple(classes))
