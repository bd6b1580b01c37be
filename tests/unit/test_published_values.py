"""The shipped published figures against the papers: how many each table has, and each value."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tags2masks.report.published import read_published

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "papers/published"
TEXTS = ROOT.parent / "shared/papers"  # the papers' texts, which are not part of the repository
NEAR = 60  # lines of a text around a table's caption
NUMBER = re.compile(r"(?<![\d.])\d+(?:\.\d+)?(?!\d|\.\d)")

COUNTS = {
    "label_efficient": {
        "Table 2.1": 5,
        "Table 3.1": 19,
        "Table 3.2": 26,
        "Table 3.3": 11,
        "Table 3.4": 12,
        "Table 3.6": 17,
        "Table 3.7": 20,
        "Table 3.8": 5,
        "Table 3.9 (a)": 5,
        "Table 3.9 (b)": 5,
        "Table 3.9 (c)": 5,
        "Table 4.1": 24,
        "Table 4.2": 20,
        "Table 4.3": 26,
        "Table 4.4": 5,
        "Table 4.5": 6,
        "Table 4.6": 5,
        "Table 4.7": 5,
        "Table 5.1": 42,
        "Table 5.2": 27,
        "Table 5.3": 19,
        "Table 5.4": 24,
        "Table 5.5": 21,
        "Table 5.6": 24,
        "Figure 3.7, text": 2,
        "Figure 4.5, text": 2,
        "Section 3.4, text": 3,
        "Section 5.5, text": 2,
    },
    "lpcam": {
        "Table 1": 15,
        "Table 2": 24,
        "Table 3": 44,
        "Table 4": 66,
        "Figure 5, text": 2,
        "Section 4.1, text": 2,
    },
    "pnoc": {
        "Table 1": 128,
        "Table 2": 14,
        "Table 3": 33,
        "Table 4": 26,
        "Table 5": 11,
        "Table 6": 154,
        "Table 7": 180,
        "Table 8": 286,
        "README of the code": 4,
    },
    "saliency": {"Table 1": 16, "Table 2": 48, "Table 3": 48, "Table 4": 20, "Figure 1, text": 4},
    "sampling": {
        "Table 1": 12,
        "Table 2": 12,
        "Table 3": 40,
        "Table 4": 4,
        "Table 5": 8,
        "Table 6": 28,
        "Table 7": 66,
    },
}

# Values that no text has: computed from what a text says, or of the README of P-NOC's code.
ELSEWHERE = {
    ("label_efficient", "Section 3.4, text", "62.9"),  # "6.1 %p above SEAM", which has 56.8
    ("lpcam", "Figure 5, text", "64.6"),  # "drops by 0.7" from 65.3
    ("saliency", "Figure 1, text", "26.07"),  # what the three other shares leave of 100
    *(("pnoc", "README of the code", value) for value in ("73.5", "73.8", "63.7", "47.7")),
}


@pytest.mark.parametrize("paper", COUNTS)
def test_every_table_has_all_its_figures(paper):
    frame = read_published(PUBLISHED / f"{paper}.csv")
    assert frame["table"].value_counts(sort=False).to_dict() == COUNTS[paper]


def test_every_file_is_counted():
    assert {path.stem for path in PUBLISHED.glob("*.csv")} == set(COUNTS)


def near_caption(lines, table):
    """The numbers around the caption of a table such as "Table 3.9 (a)", else of all lines."""
    found = re.match(r"Table ([\d.]+)(?: \(\w\))?$", table)
    if found is None:
        return Counter(NUMBER.findall("\n".join(lines)))
    caption = re.compile(rf"\W*Table {re.escape(found[1])}[.:]")
    places = [at for at, line in enumerate(lines) if caption.match(line)]
    assert places, f"no caption of {table}"
    around = {n for at in places for n in range(max(0, at - NEAR), at + NEAR)}
    text = "\n".join(line for at, line in enumerate(lines) if at in around)
    return Counter(NUMBER.findall(text))


@pytest.mark.skipif(not TEXTS.is_dir(), reason="the papers' texts are not there: ../shared/papers")
@pytest.mark.parametrize("paper", COUNTS)
def test_every_value_is_in_the_paper(paper):
    """As often as the figures have it, near the table's caption: a wrong digit is found."""
    lines = (TEXTS / f"{paper}.txt").read_text(encoding="utf-8").splitlines()
    frame = read_published(PUBLISHED / f"{paper}.csv")
    missing = {
        (paper, str(table), value)
        for table, rows in frame.groupby("table", sort=False)
        for value, count in Counter(rows["value"].str.removeprefix("-")).items()
        if near_caption(lines, str(table))[value] < count
    }
    known = {place for place in ELSEWHERE if place[0] == paper}
    assert missing <= known
    values = set(frame[["table", "value"]].itertuples(index=False, name=None))
    assert {place[1:] for place in known} <= values


def test_numbers_are_whole_numbers_of_a_text():
    lines = ["12.5 and 1.25%, v2.5.1 x", *[""] * 70, "Table 2: a", "| 7.0 | -8.5 | 7.0 |"]
    assert near_caption(lines, "Table 2") == Counter({"7.0": 2, "8.5": 1, "2": 1})
    assert near_caption(lines, "Text")["12.5"] == 1
    assert near_caption(lines, "Text")["2.5"] == 0
