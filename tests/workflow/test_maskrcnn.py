"""Mask R-CNN on instances from boxes, and on true ones, really run; its instances exported."""

import copy as copying
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.__main__ import main
from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.instance_store import read_instances
from tags2masks.store import Shard
from tests.unit.read_page import table_of
from tests.workflow.conftest import CONFIG, fresh_project
from tests.workflow.test_supervision import jobs_of, leaks, undeclared

pytestmark = pytest.mark.slow  # whole chains of its own

NETWORK = {
    "method": "maskrcnn",
    "backbone": {"name": "test_resnet", "weights": None},
    "frozen_stages": 0,
    "epochs": 2,
    "batch_size": 8,
    "augment": {"short_sides": [64], "longest": 64},
    "pyramid_channels": 8,
    "anchors": {"sizes": [16, 24, 32, 48, 64]},
    "proposals": {"after_nms": [100, 40]},
    "regions": {"channels": 16, "sampled": 64, "score": 0.01},
    "mask_layers": 1,
    "mask_channels": 8,
    "test": {"short_side": 64, "longest": 64, "semantic_score": 0.1},
}
CHAINS = ("digits/boxcrf/rcnn", "digits/drawn/rcnn")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small run, with what is exported, and new images."""
    config = {name: copying.deepcopy(CONFIG[name]) for name in ("threads", "datasets", "report")}
    config["datasets"]["digits"] |= {"size": 64, "digit_size": [20, 30], "labelled": 6}
    config["instances"] = {
        "boxcrf": {"method": "boxcrf", "iterations": 1},
        "drawn": {"method": "full"},
    }
    config["segmenters"] = {"rcnn": NETWORK}
    config["experiments"] = ["digits / {boxcrf,drawn} / rcnn"]
    folder = tmp_path_factory.mktemp("rcnn")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("a", (40, 30)), ("b", (50, 64))):
        pixels = rng.integers(256, size=(*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{name}.png")
    config["predict"] = {"new": {"experiment": CHAINS[0], "images": "photos"}}
    project = fresh_project(folder, config)
    project.make("all", "export_masks", "predict")
    return project


def artifact_of(made, chain, stage):
    (outline,) = (made.folder / "results").glob("experiments-*.json")
    experiments = json.loads(outline.read_text())["experiments"]
    return next(e["artifacts"][stage] for e in experiments if e["experiment"] == chain)


def test_predictions_have_masks_and_instances_and_figures(made):
    results = made.folder / "results"
    own = results / "digits"
    board = pd.read_csv(results / "leaderboard.csv").set_index("experiment")
    figures = pd.read_csv(results / "metrics.csv", dtype={"class": str})
    figures = figures[(figures["stage"] == "predictions") & (figures["class"] == "mean")]
    for chain, supervision in zip(CHAINS, ("boxes", "6 masks"), strict=True):
        mine = figures[figures["experiment"] == chain].set_index("metric")["value"]
        assert {"iou", "ap", "ap25", "ap50", "ap70", "ap75", "abo", "abo_instances"} <= set(
            mine.index
        )
        row = board.loc[chain]
        assert row["supervision"] == supervision and row["prediction_split"] == "val"
        for metric in ("ap", "ap50", "abo", "iou"):
            assert row[f"prediction_{metric}"] == pytest.approx(mine[metric], abs=1e-5)
        predictions = artifact_of(made, chain, "predictions")
        counted = 0
        for shard in (0, 1):
            rows = rows_of(read_index(own / "val.csv"), "val", shard)
            path = own / "predictions" / predictions / f"{shard}.zarr.zip"
            with Shard(path, predictions, images_sha(rows)) as stored:
                for image in rows["image"]:
                    mask, instances = stored.read(image)[0], read_instances(stored, image)
                    assert mask.shape == (64, 64) and mask.max() <= 2
                    shown = {each.class_id for each in instances if each.score >= 0.1}
                    assert set(np.unique(mask)) - {0} <= shown
                    scores = [each.score for each in instances]
                    assert scores == sorted(scores, reverse=True) and min(scores, default=1) > 0.01
                    counted += len(instances)
        assert counted > 0
    assert board.loc[CHAINS[0], "instance_abo"] > 0.5  # those that it learned from
    # The six images whose instances it learned from are all that there are: none to be measured.
    assert pd.isna(board.loc[CHAINS[1], "instance_abo"])


def test_boxes_of_val_measure_a_training_that_saw_boxes(made):
    rows = {
        chain: pd.read_csv(
            made.folder / "results/digits/segmenter" / artifact_of(made, chain, "segmenter")
            / "training.csv"
        )
        for chain in CHAINS
    }  # fmt: skip
    first, second = (rows[chain] for chain in CHAINS)
    assert first["val_ap50"].between(0, 1).all() and len(first) == 2
    assert {"mask_loss", "pixel_agreement", "grown"} <= set(second) and "val_ap50" not in second


def test_they_are_on_the_page(made):
    page = (made.folder / "results/report.html").read_text(encoding="utf-8")
    assert "Prediction AP" in " ".join(table_of(page, "leaderboard")[0])
    assert page.count("Predicted instances of train-") == 4  # two examples of each chain
    assert page.count("Instances of train-") >= 2 and "Prediction, val" in page


def test_they_are_exported_and_of_new_images_too(made):
    own = made.folder / "results/digits"
    folder = own / "predictions" / artifact_of(made, CHAINS[0], "predictions")
    written = json.loads((folder / "coco.json").read_text())
    index = pd.read_csv(own / "val.csv")
    assert [each["file_name"] for each in written["images"]] == index["path"].tolist()
    assert {each["score"] for each in written["annotations"]} and len(written["annotations"]) > 0
    pictures = {path.stem for path in (folder / "instances").glob("*.png")}
    assert pictures == set(index["image"])
    true = own / "instances" / artifact_of(made, CHAINS[1], "instances") / "coco.json"
    listed = json.loads(true.read_text())["annotations"]
    labelled = pd.read_csv(own / "labelled.csv")
    assert len({each["image_id"] for each in listed}) == len(labelled) == 6
    new = made.folder / "results/predict/new"
    found = json.loads((new / "coco.json").read_text())
    assert [(each["height"], each["width"]) for each in found["images"]] == [(40, 30), (50, 64)]
    for number, each in enumerate(found["images"], start=1):
        count = sum(one["image_id"] == number for one in found["annotations"])
        with Image.open(new / f"{each['file_name']}.instances.png") as picture:
            drawn = np.asarray(picture)
        assert drawn.shape == (each["height"], each["width"]) and drawn.max() <= count
        with Image.open(new / f"{each['file_name']}.png") as mask:
            assert mask.size == (each["width"], each["height"])


def test_no_truth_reaches_it_and_what_a_change_makes_again(made):
    jobs = jobs_of(made)
    assert leaks(jobs) == set() and undeclared(jobs, made) == set()
    first = made.config
    changed = copying.deepcopy(first)
    changed["segmenters"]["rcnn"]["test"]["crf"] = {}
    made.configure(changed)
    ran = made.would_run()
    made.configure(first)
    assert "predictions" in ran and not {"maskrcnn", "boxcrf", "full_instances"} & set(ran)
    assert made.would_run() == {}
    assert "maskrcnn" not in made.would_run("--forcerun", "digits_val_boxes")


def test_an_exported_one_gives_the_same_instances(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(made.folder)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["tags2masks", *map(str, words)])
        try:
            main()
        except SystemExit as ended:
            return ended.code
        return 0

    assert run("export", CHAINS[0], tmp_path / "model", "--format", "onnx") == (
        "error: --format: maskrcnn gives instances, whose network is exported as weights alone; "
        "leave --format out"
    )
    assert run("export", CHAINS[0], tmp_path / "model") == 0
    use = ("predict", tmp_path / "model", "photos", tmp_path / "out", "--threads", 1)
    for option, said in (
        ("--probabilities", "probabilities: maskrcnn gives instances and no probabilities of each"),
        ("--scales=1", "--scales: maskrcnn has no such option; leave it out"),
    ):
        assert run(*use, option) == 1
        assert f"error: {said}" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    assert run(*use) == 0
    known = made.folder / "results/predict/new"
    names = {path.name for path in known.iterdir()} - {".snakemake_timestamp"}
    assert names == {path.name for path in (tmp_path / "out").iterdir()} and "coco.json" in names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (known / name).read_bytes(), name
