"""Tables written by users: strict reading with the line of every mistake. Light to import.

Also cheap checks of other user files at Snakemake's parse time.
"""

import csv
import hashlib
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from mmap import ACCESS_READ, mmap
from pathlib import Path, PurePosixPath

from tags2masks.errors import UserError, raise_together
from tags2masks.given import open_given, read_given

TAGS = ("image", "tags", "split")
SPLITS = ("train", "val", "ood")
BOXES = ("image", "class", "x1", "y1", "x2", "y2")
KEEP = ("image", "class", "score", "keep")
ANSWERS = ("yes", "no", "")
NO_TABLE = "absent"

REGION = re.compile(rb'"segmentation"\s*:\s*(\{|\[\s*[^\]\s])')

Row = tuple[int, dict[str, str]]


def read_rows(
    table: Path, columns: Sequence[str], optional: Sequence[str] = (), *, key: str, hint: str = ""
) -> list[Row]:
    """The rows below the header: line number, and stripped cells by column.

    columns: required columns; other columns are skipped unless they are in `optional`. key: the
    config key of the table. hint: added to the message for a row with a wrong number of cells.
    Raises UserError naming the table and the wrong lines.
    """
    rows = _parse(table, _read_text(table, key))
    if not rows:
        raise UserError(f"{table}: empty; write the columns {', '.join(columns)}")
    header = rows[0][1]
    absent = [name for name in columns if header.count(name) != 1]
    absent += [name for name in optional if header.count(name) > 1]
    if absent:
        raise UserError(
            f"{table}: no column {', '.join(absent)} (or several), but {', '.join(header)}; "
            f"the first line names the columns {','.join(columns)}, separated by commas"
        )
    if len(rows) == 1:
        raise UserError(f"{table}: no line below the header; write one per image, or several")
    raise_together(
        [
            f"{table}, line {number}: {len(row)} cells, but {len(header)} columns; write one cell "
            f"per column, {hint}and quotes around a cell with a comma"
            for number, row in rows
            if len(row) != len(header)
        ]
    )
    where = {name: header.index(name) for name in (*columns, *optional) if name in header}
    return [
        (number, {name: row[column] for name, column in where.items()}) for number, row in rows[1:]
    ]


def header_of(table: Path, *, key: str) -> list[str]:
    """The names of a table's columns; raises UserError as `read_rows`."""
    rows = _parse(table, _read_text(table, key))
    return rows[0][1] if rows else []


def tag_rows(table: Path) -> list[Row]:
    """The rows of a folder's table of tags: image, tags, split."""
    return read_rows(table, TAGS, key="tags", hint="tags separated by ';', ")


def box_rows(table: Path) -> list[Row]:
    """The rows of a folder's table of boxes: image, class, corners, and optionally difficult."""
    return read_rows(table, BOXES, ("difficult",), key="boxes")


def keep_rows(table: Path) -> list[Row]:
    """The rows of a person's answers on candidates: image and keep, which is in `ANSWERS`.

    Raises UserError naming the table and the line of every mistake.
    """
    rows = read_rows(table, ("image", "keep"), ("class", "score"), key="keep")
    first: dict[str, int] = {}
    problems = []
    for number, row in rows:
        if not row["image"]:
            problems.append(f"line {number}: the image is blank; write its name")
        elif (twin := first.setdefault(row["image"], number)) != number:
            problems.append(f"line {number}: '{row['image']}' is in line {twin} already; keep one")
        if row["keep"] not in ANSWERS:
            problems.append(
                f"line {number}: keep is '{row['keep']}'; write yes (the image shows none of the "
                "classes), no, or nothing"
            )
    raise_together([f"{table}, {problem}" for problem in problems])
    return rows


def kept_digest(table: Path) -> str:
    """Digest of the images that a person's table keeps, in any order; `NO_TABLE` without a file.

    Raises UserError as `keep_rows`.
    """
    try:
        return _kept_digest(*_as_it_is(table))
    except FileNotFoundError:
        return NO_TABLE
    except OSError as error:
        raise UserError(f"{table}: cannot be read ({error.strerror}); make it readable") from None


@cache
def _kept_digest(table: Path, size: int, changed: int) -> str:
    return rows_digest(
        {"image": row["image"]} for _, row in keep_rows(table) if row["keep"] == "yes"
    )


def row_id(row: dict[str, str]) -> str:
    """The id of a row's image."""
    return image_id(clean_path(row["image"]))


def clean_path(cell: str) -> str:
    """A path in canonical form: "./a//b.jpg" is "a/b.jpg"; "" stays ""."""
    return str(PurePosixPath(cell)) if cell else ""


def image_id(path: str) -> str:
    """The id of an image: its path without the suffix."""
    return path.removesuffix(PurePosixPath(path).suffix)


def spelling(tag: str) -> str:
    """What all spellings of a tag that look the same have in common.

    They differ by capitals, blanks, characters without a width, or the form of a letter (é as one
    character or as two).
    """
    text = "".join(c for c in unicodedata.normalize("NFKC", tag) if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", text.casefold()).split())


def _read_text(table: Path, key: str) -> str:
    try:
        return read_given(table).decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{table}: no such file; correct `{key}` in the config") from None
    except OSError as error:
        raise UserError(f"{table}: cannot be read ({error.strerror}); make it readable") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{table}: byte {error.start} is not UTF-8; save the table as CSV UTF-8"
        ) from None


def _parse(table: Path, text: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        # A quoted cell may span lines: line_num is that of the row's last line.
        return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except csv.Error as error:
        raise UserError(
            f"{table}, line {reader.line_num}: no CSV ({error}); mend the quotes"
        ) from None


def split_of(row: dict[str, str]) -> str:
    """The split of a row of tags; an unknown split counts as val."""
    return row["split"] if row["split"] in ("train", "ood") else "val"


def tags_by_split(path: Path) -> tuple[dict[str, str], str]:
    """Digests of a table of tags: of the rows of each split, and of the names of all tags."""
    return _tags_by_split(*_as_it_is(path))


@cache
def _tags_by_split(path: Path, size: int, changed: int) -> tuple[dict[str, str], str]:
    rows = [row for _, row in tag_rows(path)]
    digests = {name: rows_digest(row for row in rows if split_of(row) == name) for name in SPLITS}
    names = {tag.strip() for row in rows for tag in row["tags"].split(";")} - {""}
    return digests, rows_digest({"tag": name} for name in names)


def rows_digest(rows: Iterable[dict[str, str]]) -> str:
    """Digest of the rows' cells, 8 hex digits; it does not depend on the order of the rows."""
    lines = sorted("\x1f".join(row.values()) for row in rows)
    return hashlib.sha256("\x1e".join(lines).encode()).hexdigest()[:8]


def _as_it_is(path: Path) -> tuple[Path, int, int]:
    """A file with its size and time, as a cache key of its contents."""
    with open_given(path) as file:
        about = os.fstat(file.fileno())
    return path, about.st_size, about.st_mtime_ns


def names_masks(path: Path) -> bool:
    """Whether the first line of a list has a second path."""
    try:
        with io.TextIOWrapper(open_given(path), encoding="utf-8", errors="replace") as lines:
            words = next(filter(None, map(str.split, lines)), [])
    except OSError:  # reported where the list itself is read
        return False
    return len(words) == 2 and "/" in words[1]


def holds_regions(path: Path) -> bool:
    """Whether an instances file has a non-empty segmentation; True if it cannot be read.

    The text is searched, not parsed: this takes less time than the digest of the file.
    """
    try:
        key = _as_it_is(path)
    except OSError:  # reported where the file itself is read
        return True
    return key[1] > 0 and _found(REGION, *key)


@cache
def _found(pattern: re.Pattern, path: Path, size: int, changed: int) -> bool:
    """Whether the pattern is found in a file."""
    with open_given(path) as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return pattern.search(content) is not None
