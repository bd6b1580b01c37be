"""A sweep of two parameters with repeats, and a chart over two data sets, from config to report."""

import copy as copying
import html

import pandas as pd
import pytest

from tags2masks.report.sensitivity import BOXES_TEXT
from tags2masks.report.tables import percent
from tests.workflow.conftest import CONFIG, fresh_project

pytestmark = pytest.mark.slow

SEEDS = (0, 1, 2)
PLAIN = "digits/vanilla/cam-flip-True"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    config = copying.deepcopy(CONFIG)
    del config["segmenters"], config["masks"]["crf"]
    config["datasets"]["digits"]["shards"] = 1
    config["datasets"]["fewer"] = config["datasets"]["digits"] | {"train": 8}
    config["maps"]["plain"] = {"method": "cam", "scales": [1]}
    config["experiments"] = ["digits / vanilla / cam / threshold", "fewer / vanilla / plain"]
    flips = {"entry": "maps.cam", "field": "flip", "values": [True, False]}
    scores = {"entry": "masks.threshold", "field": "background_score", "values": [0.2, 0.6]}
    config["sweep"] = [scores | {"by": flips}]
    lines = {"plain maps": {16: PLAIN, 8: "fewer / vanilla / plain"}}
    config["report"] = {"examples": 1, "against": [{"axis": "training images", "lines": lines}]}
    project = fresh_project(tmp_path_factory.mktemp("swept"), config)
    project.make("--config", f"seeds=[{','.join(map(str, SEEDS))}]")
    return project.folder / "results"


def means(table, stage):
    """The IoU at the reported score by experiment."""
    rows = table[(table["stage"] == stage) & (table["metric"] == "iou") & ~table["tuned_on_masks"]]
    if "class" in rows:
        rows = rows[rows["class"] == "mean"]
    return rows.set_index("experiment")["value"]


def said(values):
    """What the chart says of three repeats: quartiles are halfway from the middle to the others."""
    low, middle, high = sorted(values)
    quarters = percent((low + middle) / 2), percent((middle + high) / 2)
    ends = percent(low), percent(high)
    return f"median {percent(middle)}, quartiles {quarters[0]} and {quarters[1]}", ends


def test_the_table_holds_every_repeat(made):
    swept, metrics = pd.read_csv(made / "sweep.csv"), pd.read_csv(made / "metrics.csv")
    found = means(swept, "masks")
    assert len(found) == 2 * 2 * len(SEEDS) and found.index.is_unique
    pd.testing.assert_series_equal(found, means(metrics, "masks")[found.index])
    seeds = found.index.str.rpartition("@").get_level_values(2)
    assert sorted(seeds) == sorted([*map(str, SEEDS)] * 4)


def test_the_report_shows_every_repeat(made):
    page = html.unescape((made / "report.html").read_text())
    title = "masks.threshold.background_score by maps.cam.flip, each repeat: mask"
    assert f"Sensitivity to {title}" in page and BOXES_TEXT in page
    found = means(pd.read_csv(made / "sweep.csv"), "masks")
    for score in (0.2, 0.6):
        start = f"{PLAIN}/threshold-background_score-{score}@"
        box, _ = said([found[f"{start}{seed}"] for seed in SEEDS])
        assert box in page


def test_the_chart_over_data_sets_is_of_both(made):
    page = html.unescape((made / "report.html").read_text())
    [alt] = {part.partition('"')[0] for part in page.split("Sensitivity to training images: ")[2:]}
    seeds = means(pd.read_csv(made / "metrics.csv"), "maps")
    for images, path in (
        (16, f"{PLAIN}/threshold-background_score-0.2"),
        (8, "fewer/vanilla/plain"),
    ):
        values = [seeds[f"{path}@{seed}"] for seed in SEEDS]
        box, (low, high) = said(values)
        assert (
            f"{percent(sum(values) / 3)} (3 repeats: {box}, whiskers {low} and {high}) at {images}"
            in alt
        )
