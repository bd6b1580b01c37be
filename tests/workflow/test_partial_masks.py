"""A folder with masks for the evaluation images alone: measured where there is something to.

The masks hold colours, which the config names.
"""

import copy as copying

import numpy as np
import pandas as pd
from PIL import Image

from tests.workflow.conftest import CONFIG, fresh_project


def test_masks_for_val_alone(tmp_path):
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    rows = ["image,tags,split"]
    rng = np.random.default_rng(0)
    for number in range(8):
        split = "train" if number < 6 else "val"
        pixels = rng.integers(0, 255, (32, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{number}.png")
        rows.append(f"{number}.png,{('cat', 'dog')[number % 2]},{split}")
        if split == "val":
            mask = np.zeros((32, 40, 3), np.uint8)
            mask[:16] = ([255, 0, 0], [0, 0, 255])[number % 2]
            Image.fromarray(mask).save(tmp_path / f"masks/{number}.png")
    (tmp_path / "tags.csv").write_text("\n".join(rows) + "\n")
    config = copying.deepcopy(CONFIG)
    config["datasets"] = {
        "pets": {
            "kind": "folder",
            "images": "photos",
            "tags": "tags.csv",
            "masks": "masks",
            "mask_values": {"#000000": "background", "#ff0000": "cat", "0, 0, 255": "dog"},
            "classes": ["cat", "dog"],
        }
    }
    config["experiments"] = ["pets / vanilla / cam / threshold / net"]
    project = fresh_project(tmp_path, config)
    printed = project.make()
    assert "6 of 6 train images are not measured: results/pets/truth.csv has no mask" in printed
    board = pd.read_csv(tmp_path / "results/leaderboard.csv").iloc[0]
    assert np.isnan(board["seed_iou"]) and np.isnan(board["mask_iou"])
    assert 0 <= board["prediction_iou"] <= 1
    assert board["note"] == "few training images: cat (3), dog (3)"
    metrics = pd.read_csv(tmp_path / "results/metrics.csv")
    predicted = metrics[(metrics["stage"] == "predictions") & (metrics["metric"] == "iou")]
    assert set(predicted["class"]) == {"mean", "background", "cat", "dog"}
    page = (tmp_path / "results/report.html").read_text(encoding="utf-8")
    assert "pets" in page and page.rstrip().endswith("</html>")
