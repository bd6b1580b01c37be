"""Tables that the workflow writes: what goes in comes out, and a changed cell is noticed."""

import re
import zlib

import pandas as pd
import pytest

from tags2masks.data.tables import read_checked, read_table, write_table
from tags2masks.errors import UserError

CELLS = [["007", "NA"], ['say "cat", or\nnot', "été\r\n"], ["", "1e5"]]


@pytest.fixture
def table(tmp_path):
    """A table of three rows and the columns a and b."""
    write_table(tmp_path / "t.csv", pd.DataFrame(CELLS, columns=["a", "b"]), ["b", "a"])
    return tmp_path / "t.csv"


def refused(path):
    with pytest.raises(UserError) as error:
        read_checked(path, ("a", "b"), "run again")
    return str(error.value)


def test_cells_come_back_as_they_were(table):
    back = read_checked(table, ("a", "b"), "run again")
    assert back.columns.tolist() == ["b", "a"]
    assert back[["a", "b"]].values.tolist() == CELLS
    header, first = table.read_bytes().split(b"\n")[:2]
    assert header == b"b,a,crc"
    assert first == b"NA,007,%08x" % zlib.crc32(b"b\x1fa\x1eNA\x1f007\x1e")


def test_a_table_without_checksums_is_refused_where_there_should_be_some(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    assert refused(tmp_path / "t.csv") == (
        f"{tmp_path / 't.csv'}: no column crc; delete it and run again"
    )
    read = read_table(tmp_path / "t.csv", ("a", "b"), "run again")
    assert read.values.tolist() == [["1", "2"]]


def test_an_empty_table_comes_back(tmp_path):
    write_table(tmp_path / "t.csv", pd.DataFrame({"a": [], "b": []}), ["a", "b"])
    assert read_checked(tmp_path / "t.csv", ("a", "b"), "run again").empty


@pytest.mark.parametrize(
    ("old", "new", "row"),
    [
        (b"NA,007", b"NA,006", 1),
        (b"1e5", b"1e4", 3),
        (b"NA,007,", b"NA,007,0", 1),
    ],
)
def test_a_changed_cell_is_told_with_its_row(table, old, new, row):
    table.write_bytes(table.read_bytes().replace(old, new))
    said = f"{table}, row {row}: damaged: not what was written; delete it and run again"
    assert refused(table) == said


def test_a_lost_row_is_told(table):
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join([lines[0], *lines[2:]]))
    assert re.search(r"t\.csv, row 1: damaged", refused(table))
