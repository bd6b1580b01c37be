"""Charts of chosen experiments against a number or a word: which they are, and their figures."""

import pandas as pd
import pytest

from tags2masks.config.base import ConfigError
from tags2masks.report.against import against_charts, dataset_of
from tags2masks.report.page import write_page
from tags2masks.report.sensitivity import BOXES_TEXT, LINES_TEXT
from tags2masks.workflow.catalog import Catalog
from tests.unit.fabricated_report import COUNT, fabricate, settings
from tests.unit.read_page import Page
from tests.unit.test_config import BASE

DRAWN = ("iou", "contour_f", "ndr_recall")

CHAIN = "vanilla/cam/crf/net"
RAW = BASE | {
    "seeds": [3, 4],
    "datasets": {"digits": {"kind": "digits"}, "fewer": {"kind": "digits", "train": 20}},
    "experiments": ["{digits,fewer} / vanilla / cam / crf / net"],
}


def config(*charts):
    return RAW | {"report": {"against": list(charts)}}


def test_points_are_named_by_beginnings_on_several_data_sets():
    points = {20: "fewer / vanilla / cam", 0.5: "digits/vanilla/cam/crf", "all": "digits/vanilla"}
    lines = {"one": points, "other": {"none": "digits / vanilla / cam / crf / net"}}
    assert Catalog(config({"axis": "images", "lines": lines})).lines_against() == [
        {
            "axis": "images",
            "stages": ["classifier"],  # `digits/vanilla` ends there
            "lines": [
                [
                    "one",
                    [
                        ["20", f"fewer/{CHAIN}"],
                        ["0.5", f"digits/{CHAIN}"],
                        ["all", f"digits/{CHAIN}"],
                    ],
                ],
                ["other", [["none", f"digits/{CHAIN}"]]],
            ],
        }
    ]
    longer = {"a": {1: "digits/vanilla/cam", 2: "fewer/vanilla/cam/crf"}}
    [chart] = Catalog(config({"axis": "x", "lines": longer})).lines_against()
    assert chart["stages"] == ["classifier", "maps", "score"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            {"a": {20: "few/vanilla"}},
            r"^report\.against\.0\.lines\.a\.20: no experiment is or begins with 'few/vanilla'; ",
        ),
        (
            {"a": {1: "fewer/vanilla", "1": "fewer/vanilla"}},
            r"^report\.against\.0\.lines\.a: a num",
        ),
        ({"a": {}}, r"^report\.against\.0\.lines\.a: "),
        ({}, r"^report\.against\.0\.lines: "),
        ({"a": "fewer/vanilla"}, r"^report\.against\.0\.lines\.a: "),
        ({"a": {1: 2}}, r"^report\.against\.0\.lines\.a\.1: 2 is not valid: .*string"),
    ],
)
def test_charts_that_cannot_be(lines, message):
    with pytest.raises(ConfigError, match=message) as error:
        Catalog(config({"axis": "images", "lines": lines}))
    assert "\n" not in str(error.value)


WANTED = {
    "axis": "images",
    "stages": ["classifier", "maps"],
    "lines": [
        ["both kinds", [["0", "a/vanilla/cam"], ["20", "b/wood-20/cam"]]],
        ["few", [["0", "a/vanilla/cam"], ["100", "c/wood-100/cam"]]],
    ],
}
FIGURES = {
    "a/vanilla/cam": [0.50, 0.40, 0.45],
    "b/wood-20/cam": [0.52, 0.56, 0.60],
    "c/wood-100/cam": [0.30, 0.40, 0.20],
    "c/vanilla/cam": [0.90, 0.90, 0.90],  # not asked for
}


def metrics(figures, stage="maps", name="mean"):
    return pd.DataFrame(
        [
            {"experiment": f"{path}@{seed}", "dataset": path[0], "split": "train", "value": value}
            | {"stage": stage, "metric": "iou", "class": name, "tuned_on_masks": False}
            for path, values in figures.items()
            for seed, value in enumerate(values)
        ]
    )


def test_one_chart_over_data_sets_by_hand():
    rows = [
        metrics(FIGURES),
        metrics({path: [0.1] * 3 for path in FIGURES}, name="cat"),
        metrics({path: [0.2, 0.3, 0.4] for path in FIGURES}, stage="masks"),
    ]
    [chart] = against_charts("k", WANTED, pd.concat(rows, ignore_index=True), DRAWN)
    assert chart["title"] == "Sensitivity to images: seed"  # of masks nothing: not of all names
    assert chart["source"] == "results/metrics.csv"
    assert [(line.name, line.number) for line in chart["legend"]] == [("both kinds", 0), ("few", 1)]
    # Of three values the quartiles are halfway between the middle one and the others.
    first = "45.0 (3 repeats: median 45.0, quartiles 42.5 and 47.5, whiskers 40.0 and 50.0) at 0"
    assert chart["alt"].split("; ") == [
        f"both kinds, mean IoU, %: {first}, "
        "56.0 (3 repeats: median 56.0, quartiles 54.0 and 58.0, whiskers 52.0 and 60.0) at 20",
        f"few, mean IoU, %: {first}, "
        "30.0 (3 repeats: median 30.0, quartiles 25.0 and 35.0, whiskers 20.0 and 40.0) at 100",
    ]
    assert chart["note"] == f"{BOXES_TEXT} {LINES_TEXT}"
    places = [chart["svg"].index(f">{setting}</text>") for setting in ("0", "20", "100")]
    assert places == sorted(places)
    assert dataset_of(WANTED) == "a"


def test_no_chart_without_figures():
    assert list(against_charts("k", WANTED, metrics(FIGURES).iloc[:0], DRAWN)) == []


def test_an_axis_with_dollar_signs_is_taken_as_it_is():
    wanted = WANTED | {"axis": "cost, $ of $x_$"}
    [chart] = against_charts("k", wanted, metrics(FIGURES), DRAWN)
    assert ">cost, $ of $x_$</text>" in chart["svg"]


def test_the_page_shows_it_once(tmp_path):
    outline, roots = fabricate(tmp_path)
    names = [f"pets/vanilla/cam/{masks}/deeplabv3plus" for masks in ("threshold", "crf")]
    points = [["low", names[0]], ["high", names[1]]]
    wanted = {"axis": "care & <effort>", "stages": ["masks"], "lines": [["<a>", points]]}
    page = write_page(outline, roots, tmp_path / "results", COUNT, settings(against=[wanted]))
    Page(page)
    assert page.count("Sensitivity to care &amp; &lt;effort&gt;: mask") == 2  # caption and its text
    # IOU of the fabricated report: the masks' means.
    assert "45.1 at low, 57.1 at high" in page
    assert "Sensitivity to" not in write_page(
        outline, roots, tmp_path / "results", COUNT, settings()
    )
