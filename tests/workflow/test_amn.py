"""A classifier that learns from masks: run, its maps on both splits, its supervision, bad masks."""

import copy as copying

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG, NETWORK, VIEWS, fresh_project
from tests.workflow.test_supervision import SOURCE_RULES, jobs_of, leaks, undeclared

pytestmark = pytest.mark.slow  # whole chains of its own

LABELS = {"method": "confident", "foreground_score": 0.5, "background_score": 0.2}
AMN = {"method": "amn", "backbone": NETWORK, "augment": VIEWS, "epochs": 1, "batch_size": 8}
CHAIN = "digits / vanilla / cam / labels / amn"


def configured(*chains):
    """The small config with a second classifier after masks."""
    config = copying.deepcopy(CONFIG)
    config["classifiers"]["amn"] = AMN | {"rates": [1]}
    config["maps"]["raw"] = {"method": "amn", "scales": [1], "sure_background": "raw"}
    config["masks"]["labels"] = LABELS
    config["datasets"]["digits"]["labelled"] = "all"
    return config | {"experiments": list(chains)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both of its maps, measured on train and val, with masks from them; finished."""
    config = configured(f"{CHAIN} / {{cam,raw}} / threshold")
    config["evaluation"]["splits"] = ["train", "val"]
    project = fresh_project(tmp_path_factory.mktemp("amn"), config)
    project.make()
    return project


def test_maps_and_masks_of_both_splits_have_figures(made):
    assert made.would_run() == {}
    board = pd.read_csv(made.folder / "results/leaderboard.csv").set_index("experiment")
    path = CHAIN.replace(" ", "")
    assert set(board.index) == {f"{path}/{maps}/threshold" for maps in ("cam", "raw")}
    assert board["mask_iou"].between(0, 1).all() and board["supervision"].eq("tags").all()
    figures = pd.read_csv(made.folder / "results/metrics.csv")
    ids = figures["artifact"].str.extract(r"^(\w+)-")[0]
    of_raw = figures[(ids == "amn") & (figures["stage"] == "maps")]
    assert set(of_raw["split"]) == {"train", "val"}


def test_no_mask_that_a_person_drew_teaches_it(made):
    jobs = jobs_of(made)
    assert leaks(jobs) == set() and undeclared(jobs, made) == set()


def test_true_masks_before_it_are_its_supervision(tmp_path):
    config = configured("digits / full / amn / cam / threshold")
    config["masks"]["full"] = {"method": "full"}
    project = fresh_project(tmp_path, config)
    jobs = jobs_of(project)
    assert leaks(jobs) == set() and undeclared(jobs, project) == set()
    learned = {n for n, made in jobs.ids.items() if made.startswith("amn-")}
    assert learned & jobs.reached(SOURCE_RULES["masks"])
