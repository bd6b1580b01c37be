"""Huge images, cut into tiles to learn from, and segmented whole."""

import copy as copying

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.data.index import read_index
from tests.workflow.conftest import CONFIG, fresh_project


@pytest.mark.slow
def test_from_huge_images_to_masks_of_new_ones(tmp_path):
    for folder in ("photos", "masks", "new"):
        (tmp_path / folder).mkdir()
    rows = ["image,tags,split"]
    rng = np.random.default_rng(0)
    for number in range(6):
        split = "train" if number < 4 else "val"
        pixels = rng.integers(0, 255, (50, 70, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{number}.png")
        mask = np.zeros((50, 70), np.uint8)
        mask[10:40, 10:60] = 1 + number % 2
        Image.fromarray(mask).save(tmp_path / f"masks/{number}.png")
        rows.append(f"{number}.png,{('cat', 'dog')[number % 2]},{split}")
    Image.fromarray(rng.integers(0, 255, (90, 110, 3), np.uint8)).save(tmp_path / "new/x.png")
    (tmp_path / "tags.csv").write_text("\n".join(rows) + "\n")
    config = copying.deepcopy(CONFIG)
    tiles = {"size": 40, "overlap": 8}
    config["datasets"] = {
        "city": {
            "kind": "tiled",
            "images": "photos",
            "tags": "tags.csv",
            "masks": "masks",
            "classes": ["cat", "dog"],
            "labelled": 4,
            "tiles": tiles,
        }
    }
    config["segmenters"]["net"]["test"] = {"tiles": tiles}
    config["masks"] |= {"full": {"method": "full"}}
    config["experiments"] = ["city / vanilla / cam / threshold / net", "city / full / net"]
    config["predict"] = {
        "new": {"experiment": "city/vanilla/cam/threshold/net", "images": "new"},
    }
    project = fresh_project(tmp_path, config)
    project.make()
    board = pd.read_csv(tmp_path / "results/leaderboard.csv")
    assert board["prediction_iou"].between(0, 1).all() and len(board) == 2
    own = tmp_path / "results/city"
    train, val = read_index(own / "train.csv"), read_index(own / "val.csv")
    assert (len(train), len(val)) == (16, 8)  # two by two of each image
    assert not set(train["image"].str[0]) & set(val["image"].str[0])
    assert len(list((own / "labelled").glob("*.png"))) == 4
    project.make("predict")
    mask = np.asarray(Image.open(tmp_path / "results/predict/new/x.png.png"))
    assert mask.shape == (90, 110) and mask.max() <= 2
