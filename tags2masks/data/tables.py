"""CSV tables that the workflow writes and reads, most of them with checksums.

The last column, `crc`, is the CRC-32 of all other cells down to its row, including the header, in
hexadecimal.
"""

import csv
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.given import read_given

CRC = "crc"


def write_table(path: Path | str, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Write these columns of a table with a column of checksums, for `read_checked`."""
    text = frame.to_csv(None, columns=list(columns), index=False, lineterminator="\n")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    with (
        written_whole(path) as beside,
        beside.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, CRC])
        writer.writerows([*row, crc] for row, crc in zip(rows, _crcs(header, rows), strict=True))


def read_checked(path: Path | str, columns: Sequence[str], mend: str) -> pd.DataFrame:
    """Read a table of `write_table`, with every cell as a string.

    Raises UserError as `read_table`, and for a cell that differs from what was written.
    """
    frame = read_table(path, (*columns, CRC), mend)
    checked = frame.drop(columns=CRC)
    cells = checked.itertuples(index=False, name=None)
    pairs = zip(frame[CRC], _crcs(checked.columns, cells), strict=True)
    for row, (written, computed) in enumerate(pairs, start=1):
        if written != computed:
            raise UserError(
                f"{path}, row {row}: damaged: not what was written; delete it and {mend}"
            )
    return checked


def read_table(path: Path | str, columns: Sequence[str], mend: str) -> pd.DataFrame:
    """Read a CSV file with every cell as a string (also "007" and "NA").

    Raises UserError naming the file if it is absent, not CSV, incomplete, or lacks a column; mend:
    what the message tells the user to do.
    """
    try:
        text = read_given(path).decode()
        frame = pd.read_csv(io.StringIO(text, newline=""), dtype=str, na_filter=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {mend}") from None
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: no readable table ({said}); delete it and {mend}") from None
    if not text.endswith("\n"):
        raise UserError(f"{path}: ends in the middle of a line; delete it and {mend}")
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise UserError(f"{path}: no column {', '.join(absent)}; delete it and {mend}")
    return frame


def _crcs(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """For each row the checksum of all cells up to it."""
    crc = _add(0, header)
    for row in rows:
        crc = _add(crc, row)
        yield f"{crc:08x}"


def _add(crc: int, row: Sequence[str]) -> int:
    return zlib.crc32("\x1f".join(row).encode("utf-8", "surrogatepass") + b"\x1e", crc)
