"""A detector that learns from the digits' boxes, and what is made from it."""

import copy as copying

import pandas as pd
import pytest

from tags2masks.data.index import images_sha, read_index, rows_of, spaced
from tags2masks.instance_store import read_instances
from tags2masks.object_maps import read_objects
from tags2masks.store import Shard
from tests.workflow.conftest import CONFIG, fresh_project
from tests.workflow.test_maskrcnn import NETWORK
from tests.workflow.test_supervision import jobs_of, leaks, undeclared

pytestmark = pytest.mark.slow

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
# Of a detector that has learned little every proposal counts.
PROPOSALS = {"proposals": 30, "positives": 10, "overlaps": [0.1]}
BBAM = {**PROPOSALS, "method": "bbam", "steps": 3, "cell": 8}


def with_boxes() -> dict:
    """A config of chains that learn from boxes, of one detector."""
    config = copying.deepcopy(CONFIG)
    config["datasets"]["digits"] |= {"size": 64, "digit_size": [20, 30]}
    del config["classifiers"], config["segmenters"]
    return config | {
        "detectors": {"fasterrcnn": DETECTOR},
        "maps": {"bbam": BBAM, "boxgrad": {**PROPOSALS, "method": "boxgrad"}},
        "masks": {"threshold": {"method": "threshold", "background_score": 0.3}},
        "instances": {"boxmask": {"method": "boxmask", "blur": 4, "thresholds": "share"}},
        "segmenters": {"rcnn": NETWORK | {"epochs": 1}},
        "experiments": [
            "digits / fasterrcnn / bbam / {threshold,boxmask}",
            "digits / fasterrcnn / bbam / boxmask / rcnn",
            "digits / fasterrcnn / boxgrad",
        ],
        "evaluation": config["evaluation"]
        | {
            "heads": {"maps": ["bbam"], "split": "val", "images": 4},
            "proposals": {"maps": ["boxgrad"], "images": 4, "shown": 2},
            "splits": ["train", "val"],
        },
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The chains, made."""
    project = fresh_project(tmp_path_factory.mktemp("boxes"), with_boxes())
    project.make()
    return project


def test_a_detector_is_measured_on_the_boxes_of_val(run):
    (folder,) = (run.folder / "results" / "digits" / "detector").iterdir()
    rows = pd.read_csv(folder / "training.csv")
    assert rows["epoch"].tolist() == [1, 2] and rows["val_ap50"].between(0, 1).all()
    figures = pd.read_csv(run.folder / "results" / "metrics.csv")
    means = figures[(figures["class"] == "mean") & (figures["stage"] == "detector")]
    means = means.drop_duplicates("metric").set_index("metric")["value"]
    last = rows.iloc[-1][["val_ap", "val_ap50", "val_ap75"]].tolist()
    assert means[["ap", "ap50", "ap75"]].tolist() == pytest.approx(last, rel=1e-4)
    board = pd.read_csv(run.folder / "results" / "leaderboard.csv").set_index("experiment")
    assert board.loc[
        "digits/fasterrcnn/bbam/threshold", ["supervision", "label_cost"]
    ].tolist() == ["boxes", 38.1]
    shown = board.loc["digits/fasterrcnn/bbam/threshold", ["detector_ap", "detector_ap50"]]
    assert shown.tolist() == pytest.approx(last[:2], rel=1e-4)
    page = (run.folder / "results" / "report.html").read_text(encoding="utf-8")
    assert "Training of the detectors" in page and "validation box AP" in page


def test_maps_and_masks_of_boxes_are_measured(run):
    results = run.folder / "results"
    board = pd.read_csv(results / "leaderboard.csv").set_index("experiment")
    figures = board.loc["digits/fasterrcnn/bbam/threshold", ["seed_iou", "seed_iou_best"]]
    assert figures.between(0, 1).all() and figures["seed_iou_best"] >= figures["seed_iou"]
    (folder,) = (results / "digits" / "maps").glob("bbam-*")
    index, boxes = (pd.read_csv(results / "digits" / f"{name}.csv") for name in ("train", "boxes"))
    counted = 0
    for shard in (0, 1):
        rows = rows_of(read_index(results / "digits" / "train.csv"), "train", shard)
        with Shard(folder / f"{shard}.zarr.zip", folder.name, images_sha(rows)) as stored:
            for image, tags in zip(rows["image"], rows["tags"], strict=True):
                maps, attributes = stored.read(image)
                objects, seen = read_objects(stored, image)
                own = boxes[boxes["image"] == image]
                assert set(attributes["classes"]) == set(tags) and len(maps) == len(set(tags))
                assert [o.box for o in objects] == list(
                    own[["x1", "y1", "x2", "y2"]].itertuples(index=False, name=None)
                )
                assert seen == (64, 64) and maps.shape[1:] == (16, 16)
                counted += sum(o.proposals > 0 for o in objects)
    assert counted > 0 and len(index) == 16
    assert not (folder / "state").exists()


def test_what_each_head_looks_at(run):
    (folder,) = (run.folder / "results" / "digits" / "maps").glob("bbam-*")
    losses = pd.read_csv(folder / "head_losses.csv")
    assert losses.groupby("kept")["step"].apply(list).to_dict() == {
        "box": [0, 1, 2],
        "class": [0, 1, 2],
    }
    assert losses["objects"].nunique() == 1 and losses["objects"].iloc[0] > 0
    assert losses[["box_loss", "class_loss"]].ge(0).all().all()
    # Both masks begin alike.
    first = losses[losses["step"] == 0][["box_loss", "class_loss"]]
    assert first.iloc[0].tolist() == first.iloc[1].tolist()
    places = pd.read_csv(folder / "head_places.csv")
    assert set(places["kept"]) == {"box", "class"}
    assert (places[["x", "y"]] ** 2).sum(axis=1).max() < 1.1 and places["pixels"].gt(0).all()
    page = (run.folder / "results" / "report.html").read_text(encoding="utf-8")
    assert "Where in the objects each head looks: fasterrcnn/bbam" in page
    assert "Losses of both heads while one is kept: fasterrcnn/bbam" in page


def test_instances_of_val_are_measured_on_request(run):
    figures = pd.read_csv(run.folder / "results" / "metrics.csv")
    mine = figures[(figures["stage"] == "instances") & (figures["metric"] == "abo_instances")]
    assert set(mine["split"]) == {"train", "val"} and mine["value"].between(0, 1).all()


def test_gradients_of_proposals_are_on_request(run):
    (folder,) = (run.folder / "results" / "digits" / "maps").glob("boxgrad-*")
    rows = pd.read_csv(folder / "proposals.csv")
    index = read_index(run.folder / "results" / "digits" / "train.csv")
    looked_at = spaced(index["image"].tolist(), 4)  # all have boxes
    known = set()
    for shard in (0, 1):
        sha = images_sha(rows_of(index, "train", shard))
        with Shard(folder / f"{shard}.zarr.zip", folder.name, sha) as stored:
            for image in filter(stored.holds, looked_at):
                objects, _ = read_objects(stored, image)
                known |= {(image, n) for n, one in enumerate(objects) if one.proposals >= 3}
    proposals = rows.groupby(["image", "object"])["proposal"].apply(list)
    assert known and {place for place, own in proposals.items() if own == [0, 1, 2]} == known
    assert (rows["split"] == "train").all()
    assert rows["overlap"].between(0.1, 1).all() and rows["high"].ge(rows["inside"]).all()
    page = (run.folder / "results" / "report.html").read_text(encoding="utf-8")
    assert "Gradients of like predictions" in page
    assert f"Of {len(rows)} proposals:" in page


def test_masks_of_each_box_are_made_and_measured(run):
    results = run.folder / "results"
    index = read_index(results / "digits" / "train.csv")
    boxes = pd.read_csv(results / "digits" / "boxes.csv")
    (folder,) = (results / "digits" / "instances").iterdir()
    larger = 0
    for shard in (0, 1):
        rows = rows_of(index, "train", shard)
        with Shard(folder / f"{shard}.zarr.zip", folder.name, images_sha(rows)) as stored:
            for image in rows["image"]:
                own = boxes[boxes["image"] == image]
                instances = read_instances(stored, image)
                assert [one.box for one in instances] == list(
                    own[["x1", "y1", "x2", "y2"]].itertuples(index=False, name=None)
                )
                assert all(one.mask.any() for one in instances)
                larger += sum(one.possible.sum() > one.mask.sum() for one in instances)
    assert larger > 0
    board = pd.read_csv(results / "leaderboard.csv").set_index("experiment")
    row = board.loc["digits/fasterrcnn/bbam/boxmask"]
    assert row["supervision"] == "boxes" and 0.1 < row["instance_abo"] < 1


def test_what_is_possible_alone_is_learned_when_the_network_is_sure(run):
    (folder,) = (run.folder / "results" / "digits" / "segmenter").iterdir()
    (row,) = pd.read_csv(folder / "training.csv").to_dict("records")
    assert row["mask_loss"] > 0 and row["grown"] >= 0 and 0 <= row["val_ap50"] <= 1
    board = pd.read_csv(run.folder / "results" / "leaderboard.csv").set_index("experiment")
    row, before = (board.loc[f"digits/fasterrcnn/bbam/boxmask{of}"] for of in ("/rcnn", ""))
    assert row["instance_abo"] == before["instance_abo"] and 0 <= row["prediction_abo"] < 1
    assert (row["supervision"], row["prediction_split"]) == ("boxes", "val")


def test_noise_of_boxes_makes_again_what_learns_from_them(run):
    config = run.config
    changed = copying.deepcopy(config)
    changed["datasets"]["digits"]["box_noise"] = [0.1, 0.1]
    run.configure(changed)
    again = set(run.would_run())
    run.configure(config)
    assert {"digits_boxes", "fasterrcnn", "bbam", "boxmask", "measure_instances"} <= again
    assert not {"digits_val_boxes", "digits_truth", "true_instances", "digits_train"} & again


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


def test_instances_of_some_images_are_made_and_measured_alone(run):
    before = run.config
    changed = copying.deepcopy(before)
    changed["maps"]["some"] = {**BBAM, "images": 5}
    changed["experiments"].append("digits / fasterrcnn / some / boxmask")
    run.configure(changed)
    run.make()
    results = run.folder / "results"
    board = pd.read_csv(results / "leaderboard.csv").set_index("experiment")
    row = board.loc["digits/fasterrcnn/some/boxmask"]
    assert row["train_images"] == 5 and 0 < row["instance_abo"] < 1
    figures = pd.read_csv(results / "metrics.csv")
    mine = figures[
        (figures["experiment"] == "digits/fasterrcnn/some/boxmask")
        & (figures["stage"] == "instances")
        & (figures["split"] == "train")
    ]
    assert set(mine["images"]) == {5}
    index = read_index(results / "digits" / "train.csv")
    held = []
    for shard in (0, 1):
        rows = rows_of(index, "train", shard)
        file = results / "digits" / "instances" / mine["artifact"].iloc[0] / f"{shard}.zarr.zip"
        with Shard(file, mine["artifact"].iloc[0], images_sha(rows)) as stored:
            held += stored.images
            assert stored.partial
    assert held == spaced(index["image"].tolist(), 5)
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "fasterrcnn/some/boxmask" in page
    run.configure(before)
