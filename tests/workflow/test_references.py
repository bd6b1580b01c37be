"""References and repeats: true masks of all or some images, several seeds, figures on val."""

import copy as copying
import json

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG, fresh_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with two seeds, measured on both splits; one data set with all masks, one with four."""
    config = copying.deepcopy(CONFIG)
    digits = config["datasets"]["digits"] | {"shards": 1}
    config["classifiers"]["vanilla"]["epochs"] = 1
    config["datasets"] = {"digits": digits | {"labelled": "all"}, "few": digits | {"labelled": 4}}
    config["masks"] = {
        "threshold": {"method": "threshold", "background_score": 0.3},
        "smooth": {"method": "smooth", "background_score": 0.3},
        "full": {"method": "full"},
    }
    config["experiments"] = [
        "digits / vanilla / cam / {threshold / net,smooth}",
        "{digits,few} / full / net",
    ]
    config |= {"seeds": [0, 1], "evaluation": {"splits": ["train", "val"]}}
    project = fresh_project(tmp_path_factory.mktemp("references"), config)
    project.make()
    return project


def test_the_leaderboard(run):
    board = pd.read_csv(run.folder / "results" / "leaderboard.csv", dtype={"seed": str})
    assert len(board) == 4 * 4  # per chain two seeds, their mean and deviation
    board = board.set_index(["experiment", "seed"])
    chain = "digits/vanilla/cam/threshold/net"
    for figure in ("seed_iou", "mask_iou", "prediction_iou", "seed_iou_val", "mask_iou_val"):
        seeds = [board.loc[(f"{chain}@{seed}", str(seed)), figure] for seed in (0, 1)]
        assert board.loc[(chain, "mean"), figure] == pytest.approx(sum(seeds) / 2, abs=1e-5)
        spread = abs(seeds[0] - seeds[1]) / 2**0.5
        assert board.loc[(chain, "sd"), figure] == pytest.approx(spread, abs=1e-5)
    full = board.loc[("digits/full/net@1", "1")]
    assert (full["supervision"], full["label_cost"], full["share_of_full"]) == ("masks", 239.7, 1)
    assert pd.isna(full["mask_iou"])  # every image of train was learned from
    weak = board.loc[(f"{chain}@1", "1")]
    assert weak["supervision"] == "tags" and weak["label_cost"] == 20
    share = weak["prediction_iou"] / full["prediction_iou"]
    assert weak["share_of_full"] == pytest.approx(share, rel=1e-4)
    few = board.loc[("few/full/net@1", "1")]
    assert few["supervision"] == "4 masks"
    assert few["label_cost"] == pytest.approx(239.7 * 4 / 16, rel=1e-5)
    # The same images under another name: the reference is theirs, too.
    share = few["prediction_iou"] / full["prediction_iou"]
    assert few["share_of_full"] == pytest.approx(share, rel=1e-4)
    assert pd.isna(few["mask_iou"])  # it has no masks of other images


def test_figures_of_both_splits(run):
    metrics = pd.read_csv(run.folder / "results" / "metrics.csv", dtype={"class": str})
    mine = metrics[metrics["experiment"] == "digits/vanilla/cam/smooth@0"]
    iou = mine[(mine["metric"] == "iou") & (mine["class"] == "mean") & ~mine["tuned_on_masks"]]
    assert sorted(zip(iou["stage"], iou["split"], iou["images"], strict=True)) == [
        ("maps", "train", 16), ("maps", "val", 6), ("masks", "train", 16), ("masks", "val", 6),
    ]  # fmt: skip


def test_seeds_have_artifacts_of_their_own_on_the_same_images(run):
    results = run.folder / "results"
    assert len(list((results / "digits" / "classifier").iterdir())) == 2
    assert len(list((results / "few" / "segmenter").iterdir())) == 2
    assert not (results / "few" / "classifier").exists()
    lineage = next((results / "few" / "segmenter").glob("*/lineage.json"))
    chain = json.loads(lineage.read_text(encoding="utf-8"))
    assert [(one["stage"], one["learns_from"], one["supervision"]) for one in chain] == [
        ("masks", ["masks"], ["masks"]), ("segmenter", [], ["masks"]),
    ]  # fmt: skip


def test_the_page_shows_means_with_deviations(run):
    page = (run.folder / "results" / "report.html").read_text(encoding="utf-8")
    assert "±" in page and "4 masks" in page and "240 s an image" in page


def test_nothing_is_left_to_do_and_another_number_of_masks_makes_only_what_learns_from_them(run):
    assert run.would_run() == {}
    config = json.loads(json.dumps(run.config))
    config["datasets"]["few"]["labelled"] = 5
    before = run.config
    run.configure(config)
    try:
        planned = run.would_run()
    finally:
        run.configure(before)
    assert "vanilla" not in planned and "cam" not in planned
    assert planned["full"] == 2 and planned["deeplabv3plus"] == 2
