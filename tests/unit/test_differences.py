"""What one experiment gains over another, class by class: figures and order of the bars."""

import re

import pandas as pd
import pytest

from tags2masks.config.base import ConfigError
from tags2masks.report.differences import difference_charts
from tags2masks.report.page import write_page
from tags2masks.workflow.catalog import Catalog
from tests.unit.fabricated_report import COUNT, fabricate, settings
from tests.unit.read_page import Page
from tests.unit.test_config import BASE

CLASSES = ["cat", "dog", "cow"]
PAIR = {
    "names": ["pets/a", "pets/b"],
    "experiments": ["pets/a", "pets/b"],
    "stages": ["maps", "masks"],
    "order": "gain",
}
SIZES = pd.DataFrame(
    {
        "split": ["train"] * 4 + ["val"],
        "class": ["background", *CLASSES, "cow"],
        "relative_size": [0.8, 0.2, 0.3, 0.1, 0.9],
    }
)
NUMBERS = {"pets/a@1": 0, "pets/a@2": 0, "pets/b@1": 1, "pets/b@2": 1}


def table(figures, stage="masks", tuned=False):
    """Rows of metrics.csv: experiment -> IoU of the mean, background and classes."""
    return pd.DataFrame(
        [
            {"experiment": experiment, "split": "train", "stage": stage, "class": name,
             "metric": "iou", "value": value, "tuned_on_masks": tuned}
            for experiment, values in figures.items()
            for name, value in zip(["mean", "background", *CLASSES], values, strict=True)
        ]
    )  # fmt: skip


def test_means_of_seeds_sorted_by_what_is_gained():
    figures = {
        "pets/a@1": [0.50, 0.80, 0.4, 0.5, 0.3],
        "pets/a@2": [0.60, 0.80, 0.6, 0.5, 0.5],
        "pets/b@1": [0.60, 0.90, 0.4, 0.7, 0.4],
        "pets/b@2": [0.54, 0.90, 0.4, 0.5, 0.36],
    }
    rows = pd.concat(
        [
            table(figures),
            table({name: [0.1] * 5 for name in figures}, stage="maps"),
            table({name: [0.99] * 5 for name in ["pets/b@1", "pets/b@2"]}, tuned=True),
            table({"pets/b@1": [0.9] * 5}, stage="predictions"),  # which the first lacks
        ]
    )
    (chart,) = difference_charts("d0", [PAIR], rows, CLASSES, NUMBERS, SIZES)
    assert chart["alt"] == "mean +2.0; background +10.0; dog +10.0; cow -2.0; cat -10.0"
    assert chart["title"] == "Mask IoU: what b gains over a"
    assert [(entry.name, entry.number) for entry in chart["legend"]] == [
        ("b is higher", 1),
        ("a is higher", 0),
    ]
    labels = re.findall(r">(mean|background|cat|dog|cow)</text>", chart["svg"])
    assert labels == ["mean", "background", "dog", "cow", "cat"]
    assert chart["svg"].count("fill: var(--series-1)") == 3
    assert chart["svg"].count("fill: var(--series-0)") == 2


def test_the_last_of_a_stage_that_a_chain_has_twice():
    rows = pd.concat(
        [
            table({"pets/a": [0.5] * 5, "pets/b": [0.1] * 5}),
            table({"pets/b": [0.6, 0.7, 0.5, 0.5, 0.5]}),
        ]
    )
    numbers = {"pets/a": 0, "pets/b": 1}
    (chart,) = difference_charts("d0", [PAIR], rows, CLASSES, numbers, SIZES)
    assert chart["alt"] == "mean +10.0; background +20.0; cat +0.0; cow +0.0; dog +0.0"


def test_no_chart_without_a_stage_that_both_have():
    rows = pd.concat([table({"pets/a@1": [0.5] * 5}), table({"pets/b@1": [0.5] * 5}, "maps")])
    assert list(difference_charts("d0", [PAIR], rows, CLASSES, NUMBERS, SIZES)) == []


def test_by_the_size_of_objects():
    rows = table({"pets/a@1": [0.5, 0.5, 0.5, 0.5, 0.5], "pets/b@1": [0.5, 0.6, 0.4, 0.5, 0.7]})
    (chart,) = difference_charts("d0", [PAIR | {"order": "size"}], rows, CLASSES, NUMBERS, SIZES)
    assert chart["alt"] == "mean +0.0; cow +20.0; cat -10.0; dog +0.0; background +10.0"
    assert chart["title"].endswith(", from small to large objects")


def test_the_page_shows_the_pairs_that_are_asked_for(tmp_path):
    outline, roots = fabricate(tmp_path)
    names = [f"pets/vanilla/cam/{masks}/deeplabv3plus" for masks in ("threshold", "crf")]
    pair = {"names": names, "experiments": names, "stages": ["maps", "masks"], "order": "gain"}
    page = write_page(outline, roots, tmp_path / "results", COUNT, settings(compare=[pair]))
    Page(page)
    assert page.count("what vanilla/cam/crf/deeplabv3plus gains over") == 2  # caption and its text
    assert "gains over" not in write_page(outline, roots, tmp_path / "results", COUNT, settings())


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            "digits/vanilla/cam/crv/net",
            r"report\.compare\.0: no experiment is or begins with 'digits/\S+/crv/net'; did you",
        ),
        ("more/vanilla/cam/crf/net", r"report\.compare\.0: name two chains of one data set"),
    ],
)
def test_pairs_that_cannot_be(second, message):
    raw = BASE | {
        "datasets": {"digits": {"kind": "digits"}, "more": {"kind": "digits"}},
        "experiments": ["{digits,more} / vanilla / cam / crf / net"],
        "report": {"compare": [{"first": "digits/vanilla/cam/crf/net", "second": second}]},
    }
    with pytest.raises(ConfigError, match=message):
        Catalog(raw)


def test_chains_may_be_beginnings_have_spaces_and_leave_out_the_seed():
    pair = {"first": "digits / vanilla / cam", "second": "digits/vanilla/lpcam", "order": "size"}
    raw = BASE | {
        "seeds": [3, 4],
        "experiments": ["digits / vanilla / {cam,lpcam} / crf / net"],
        "maps": BASE["maps"] | {"lpcam": {"method": "lpcam"}},
        "report": {"compare": [pair]},
    }
    assert Catalog(raw).comparisons() == [
        {
            "names": ["digits/vanilla/cam", "digits/vanilla/lpcam"],
            "experiments": ["digits/vanilla/cam/crf/net", "digits/vanilla/lpcam/crf/net"],
            "stages": ["classifier", "maps", "score"],
            "order": "size",
        }
    ]


def test_the_stages_that_both_go_through_count():
    figures = {"pets/a@1": [0.5] * 5, "pets/b@1": [0.7] * 5}
    rows = pd.concat([table(figures), table({name: [0.4] * 5 for name in figures}, "maps")])
    (chart,) = difference_charts(
        "d0", [PAIR | {"stages": ["classifier", "maps"]}], rows, CLASSES, NUMBERS, SIZES
    )
    assert chart["title"].startswith("Seed IoU") and chart["alt"].startswith("mean +0.0")
