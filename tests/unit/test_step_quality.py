"""Figures of every step, by hand: one image of one row, two steps."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.config.folders import Folder
from tags2masks.data.index import build_index, images_sha, write_classes, write_index
from tags2masks.data.truth import write_truth
from tags2masks.store import write_shard
from workflow_scripts import measure_steps


def test_steps_by_hand(tmp_path, monkeypatch):
    Image.new("RGB", (4, 1)).save(tmp_path / "a.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.array([[1, 1, 1, 0]], np.uint8)).save(tmp_path / "masks/a.png")
    listing = pd.DataFrame(
        {"image": ["a"], "path": ["a.png"], "split": "train", "tags": [("cat",)]}
    )
    index = build_index(listing, tmp_path, ["cat"], 1, 1)
    write_index(tmp_path / "index.csv", index)
    write_classes(tmp_path / "classes.txt", ["cat"])
    truth = pd.DataFrame({"image": ["a"], "mask": ["masks/a.png"], "instances": [""]})
    write_truth(tmp_path / "truth.csv", truth)
    # The first step finds one of three pixels; the second all of them and one of background.
    steps = np.array([[[[1, 0.2, 0.2, 0]], [[2, 1.2, 1.2, 1.2]]]], np.float16)
    entry = ("a", steps[:, 0], {"classes": ["cat"], "size": [1, 4]}, {"steps": steps})
    write_shard(tmp_path / "0.zip", {"id": "rib-1"}, images_sha(index), [entry])
    dataset = Folder(images="", tags="", masks="", classes=("cat",))
    options = {
        "recipe": json.dumps({"dataset": dataset.key(), "seed": 0}), "id": "rib-1",
        "split": "train", "root": tmp_path, "threads": 1, "background-score": 0.45,
        "index": tmp_path / "index.csv", "classes": tmp_path / "classes.txt",
        "truth": tmp_path / "truth.csv", "shards": tmp_path / "0.zip",
        "metrics": tmp_path / "steps.csv", "amplification": tmp_path / "amplification.csv",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["measure_steps", *words])
    measure_steps.main()
    table = pd.read_csv(tmp_path / "steps.csv")
    assert table["step"].tolist() == [0, 1]
    # cat 1/3, background 1/3; then cat 3/4, background 0.
    assert table["iou"].tolist() == pytest.approx([1 / 3, 3 / 8])
    # Summed, (1 + 1, 0.2 + 0.6, 0.2 + 0.6, 0 + 0.6) / 2: the first alone is above 0.45.
    assert table["iou_so_far"].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert table["noise"].tolist() == pytest.approx([0, 1 / 4])
    assert table["dr_amplification"].tolist() == pytest.approx([1, 2])
    assert table["ndr_amplification"].tolist() == pytest.approx([1, 6], rel=1e-2)
    # One discriminative pixel, from 1 to 2; two others, from 0.2 to 1.2 (in float16 6.003).
    bins = pd.read_csv(tmp_path / "amplification.csv")
    discriminative, other = "discriminative", "non-discriminative"
    assert bins.to_numpy().tolist() == [
        [0, discriminative, 1, 1.02, 1],
        [0, other, 1, 1.02, 2],
        [1, discriminative, 2, 2.02, 1],
        [1, other, 6, 6.02, 2],
    ]
