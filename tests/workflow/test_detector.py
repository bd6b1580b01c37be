"""A detector that learns from the digits' boxes, and what is made from it."""

import copy as copying

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG, fresh_project
from tests.workflow.test_supervision import jobs_of, leaks, undeclared

DETECTOR = {
    "method": "fasterrcnn",
    "backbone": {"name": "test_resnet", "weights": None},
    "frozen_stages": 0,
    "epochs": 2,
    "batch_size": 8,
    "augment": {"short_sides": [64], "longest": 64},
    "test_short_side": 64,
    "pyramid_channels": 8,
    "anchors": {"sizes": [16, 24, 32, 48, 64]},
    "proposals": {"after_nms": [100, 100]},
    "regions": {"channels": 16, "sampled": 64},
}


def with_boxes() -> dict:
    """A config of one chain that learns from boxes."""
    config = copying.deepcopy(CONFIG)
    config["datasets"]["digits"] |= {"size": 64, "digit_size": [20, 30]}
    del config["classifiers"], config["maps"], config["masks"], config["segmenters"]
    return config | {"detectors": {"fasterrcnn": DETECTOR}, "experiments": ["digits / fasterrcnn"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The chain, made."""
    project = fresh_project(tmp_path_factory.mktemp("boxes"), with_boxes())
    project.make()
    return project


def test_a_detector_is_measured_on_the_boxes_of_val(run):
    (folder,) = (run.folder / "results" / "digits" / "detector").iterdir()
    rows = pd.read_csv(folder / "training.csv")
    assert rows["epoch"].tolist() == [1, 2] and rows["val_ap50"].between(0, 1).all()
    figures = pd.read_csv(run.folder / "results" / "metrics.csv")
    means = figures[figures["class"] == "mean"].set_index("metric")["value"]
    last = rows.iloc[-1][["val_ap", "val_ap50", "val_ap75"]].tolist()
    assert means[["ap", "ap50", "ap75"]].tolist() == pytest.approx(last, rel=1e-4)
    board = pd.read_csv(run.folder / "results" / "leaderboard.csv").set_index("experiment")
    assert board.loc["digits/fasterrcnn", ["supervision", "label_cost"]].tolist() == ["boxes", 38.1]
    page = (run.folder / "results" / "report.html").read_text(encoding="utf-8")
    assert "Training of the detectors" in page and "validation box AP" in page


def test_no_mask_reaches_it_and_boxes_of_val_train_nothing_again(run):
    jobs = jobs_of(run)
    assert leaks(jobs) == set() and undeclared(jobs, run) == set()
    assert run.would_run() == {}
    assert run.would_run("--forcerun", "digits_val_boxes").keys() >= {
        "digits_val_boxes",
        "measure_detector",
    }
    assert "fasterrcnn" not in run.would_run("--forcerun", "digits_val_boxes")
    assert "fasterrcnn" in run.would_run("--forcerun", "digits_boxes")
