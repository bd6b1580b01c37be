"""A data set in COCO's form from the files to the figures: masks are drawn for evaluation alone."""

import copy as copying
import json

import numpy as np
import pandas as pd
from PIL import Image

from tests.workflow.conftest import CONFIG, fresh_project
from tests.workflow.test_supervision import jobs_of, leaks


def pets(folder):
    """Six training images and two others of pets, in COCO's form; the content of the file."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    images, things = [], []
    for number in range(8):
        name = f"{number}.png"
        pixels = rng.integers(0, 255, (32, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
        images.append({"id": number, "file_name": name, "width": 40, "height": 32})
        things.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 3 + number % 2,
                "segmentation": [[0, 0, 40, 0, 40, 16, 0, 16]],
                "bbox": [0, 0, 40, 16],
            }
        )
    for split, numbers in (("train", range(6)), ("val", range(6, 8))):
        (folder / f"{split}.txt").write_text("".join(f"{n}\n" for n in numbers))
    return {
        "images": images,
        "annotations": things,
        "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
    }


def project_of(tmp_path, content, experiment):
    """A project of one experiment on these pets."""
    (tmp_path / "coco/all.json").write_text(json.dumps(content))
    config = copying.deepcopy(CONFIG)
    config["datasets"] = {
        "pets": {
            "kind": "coco",
            "root": "coco",
            "train_annotations": "all.json",
            "val_annotations": "all.json",
            "train_images": ".",
            "val_images": ".",
            "train_list": "train.txt",
            "val_list": "val.txt",
        }
    }
    config["experiments"] = [experiment]
    return fresh_project(tmp_path, config)


def test_coco(tmp_path):
    content = pets(tmp_path / "coco")
    project = project_of(tmp_path, content, "pets / vanilla / cam / threshold / net")
    jobs = jobs_of(project)
    assert leaks(jobs) == set()
    made = {
        rule: {jobs.rules[earlier] for earlier, later in jobs.edges if later == number}
        for number, rule in jobs.rules.items()
    }
    assert made["coco_truth"] == {"coco", "coco_val", "describe"}

    project.make("results/pets/train.csv", "results/pets/val.csv")
    assert not (tmp_path / "results/pets/truth").exists()
    project.make()
    masks = sorted((tmp_path / "results/pets/truth").glob("*.png"))
    assert [mask.name for mask in masks] == [f"{number}.png" for number in range(8)]
    assert np.asarray(Image.open(masks[1])).mean() == 2 * 0.5
    board = pd.read_csv(tmp_path / "results/leaderboard.csv").iloc[0]
    assert 0 <= board["prediction_iou"] <= 1 and 0 <= board["seed_iou"] <= 1
    page = (tmp_path / "results/report.html").read_text(encoding="utf-8")
    assert "COCO" in page and page.rstrip().endswith("</html>")

    assert project.would_run() == {}
    content["annotations"][0]["segmentation"] = [[0, 0, 40, 0, 40, 8, 0, 8]]
    (tmp_path / "coco/all.json").write_text(json.dumps(content))
    assert {"coco", "coco_truth", "measure_maps"} <= set(project.would_run())


def test_boxes_alone_give_masks_without_figures(tmp_path):
    content = pets(tmp_path / "coco")
    for one in content["annotations"]:
        one["segmentation"] = []
    project = project_of(tmp_path, content, "pets / vanilla / cam / threshold")
    printed = project.make("all", "results/pets/boxes.csv", "results/pets/val-boxes.csv")
    assert "No quality figures for pets: no pixel masks to measure against" in printed
    assert not (tmp_path / "results/pets/truth.csv").exists()
    boxes = pd.read_csv(tmp_path / "results/pets/boxes.csv")
    assert boxes["image"].tolist() == list(range(6))
    boxes = pd.read_csv(tmp_path / "results/pets/val-boxes.csv").drop(columns="crc")
    assert boxes.to_numpy().tolist() == [[6, "cat", 0, 0, 39, 15, 0], [7, "dog", 0, 0, 39, 15, 0]]
