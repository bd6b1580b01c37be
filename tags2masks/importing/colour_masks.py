"""Masks of colours or numbers with a table of what they stand for; tags come from the masks."""

import re
from pathlib import Path

from tags2masks.config.mask_values import BACKGROUND, IGNORED_NAME
from tags2masks.errors import UserError
from tags2masks.given import is_given, read_text
from tags2masks.importing.items import (
    Dropped,
    Item,
    Options,
    Source,
    folder_given,
    images_below,
    split_named,
)
from tags2masks.user_tables import header_of, image_id, read_rows

IGNORED_WORDS = ("ignored", "ignore", "void", "unlabelled", "unlabeled")
TABLES = ("labelmap.txt", "classes.csv", "colours.csv", "colors.csv", "class_dict.csv")


def read(source: Path, options: Options) -> Source:
    """The images of `source/images` with PNG masks of the same names in `source/masks`.

    The table is a CSV with the column name (or class), and the columns r, g, b, or value with a
    number or a colour (#ff0000); or the labelmap.txt of CVAT. Raises UserError if it is absent or
    wrong.
    """
    root = folder_given(options.images or source / "images", "images")
    masks = folder_given(options.masks or source / "masks", "masks")
    table = options.table or next(
        (source / name for name in TABLES if is_given(source / name)), None
    )
    if table is None:
        raise UserError(
            f"{source}: no table of colours ({', '.join(TABLES)}); name one with --table, with the "
            "columns name,r,g,b"
        )
    values = _label_map(table) if table.suffix == ".txt" else _table(table)
    items, dropped = [], []
    for path in images_below(root):
        mask = masks / f"{image_id(path)}.png"
        if not is_given(mask):
            dropped.append(Dropped(path, "no mask, which would say its tags"))
            continue
        split = split_named(path.split("/")[0])
        items.append(Item(path, split=split, mask=mask))
    known = (BACKGROUND, IGNORED_NAME)
    classes = tuple(dict.fromkeys(name for name in values.values() if name not in known))
    return Source(root, items, dropped, classes, values)


def _meaning(name: str) -> str:
    if name.lower() == BACKGROUND:
        return BACKGROUND
    return IGNORED_NAME if name.lower() in IGNORED_WORDS else name


def _table(table: Path) -> dict[str, str]:
    header = header_of(table, key="--table")
    columns = {name.lower(): name for name in header}
    named = next((columns[name] for name in ("name", "class", "label") if name in columns), None)
    triple = [columns.get(name) for name in ("r", "g", "b")]
    value = next((columns[n] for n in ("value", "colour", "color", "id") if n in columns), None)
    if named is None or (None in triple and value is None):
        raise UserError(
            f"{table}: columns {', '.join(header)}; write name,r,g,b or name,value (a number or "
            "#rrggbb)"
        )
    values: dict[str, str] = {}
    for number, row in read_rows(table, header, key="--table"):
        parts = [] if None in triple else [row[column] for column in triple]
        text = _colour(parts) if parts else row[value].lower()
        if not re.fullmatch(r"#[0-9a-f]{6}|\d{1,3}", text):
            raise UserError(f"{table}, line {number}: no colour or number; write 0 to 255")
        _add(values, text, row[named], f"{table}, line {number}")
    if len({key.startswith("#") for key in values}) > 1:
        raise UserError(f"{table}: both numbers and colours; write one of them for all")
    return values


def _label_map(table: Path) -> dict[str, str]:
    """CVAT's lines `name:r,g,b:parts:actions`."""
    values: dict[str, str] = {}
    try:
        lines = read_text(table).splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{table}: cannot be read ({error}); correct --table") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        text = _colour(rest.partition(":")[0].split(","))
        if not text:
            raise UserError(f"{table}, line {number}: no colour r,g,b after the name; mend it")
        _add(values, text, name.strip(), f"{table}, line {number}")
    return values


def _colour(parts: list[str]) -> str:
    """Three numbers as "#rrggbb"; "" if they are none."""
    numbers = [part.strip() for part in parts]
    if len(numbers) != 3 or not all(n.isdecimal() and int(n) <= 255 for n in numbers):
        return ""
    return "#" + "".join(f"{int(n):02x}" for n in numbers)


def _add(values: dict[str, str], value: str, name: str, where: str) -> None:
    if not name:
        raise UserError(f"{where}: a colour without a name; write one")
    if value in values:
        raise UserError(f"{where}: {value} is '{values[value]}' already; keep one")
    values[value] = _meaning(name)
