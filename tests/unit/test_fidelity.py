"""The page on public code names tests and modules that exist, and ends every row with a verdict."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "fidelity.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| what")
]


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_page_has_rows():
    assert len(ROWS) >= 35 and {len(row) for row in ROWS} == {5}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_what_there_is(row):
    _, ours, tests, measured, verdict = row
    modules = re.findall(r"`([\w/]+)`", ours)
    assert modules and all((ROOT / "tags2masks" / f"{name}.py").is_file() for name in modules)
    links = re.findall(r"\[(\w+)\]\(([^)]+)\)", tests)
    assert links
    for name, target in links:
        file = (PAGE.parent / target).resolve()
        assert file.is_file(), target
        assert name.startswith("test_") and name in names_in(file), f"{target} has no {name}"
    assert measured
    verdict = verdict.removesuffix(" |")
    assert verdict == "agrees" or re.fullmatch(r"documented: .{10,}", verdict)


def test_a_test_that_is_not_there_is_found():
    assert "test_the_page_has_rows" in names_in(Path(__file__))
    assert "test_of_another_name" not in names_in(Path(__file__))
