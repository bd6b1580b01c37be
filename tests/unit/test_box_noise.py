"""Noise of boxes: by hand, within the image, and what it does not touch."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tags2masks.config.digits import Digits
from tags2masks.config.folders import Folder
from tags2masks.data.box_noise import with_noise
from tags2masks.data.boxes import Box, box_table, read_boxes
from tags2masks.data.index import COLUMNS, assign_shards, read_index, write_classes, write_index
from tags2masks.data.randomness import image_seed
from tags2masks.workflow import started
from tags2masks.workflow.plan import Plan
from workflow_scripts import list_boxes

CORNERS = ["x1", "y1", "x2", "y2"]


def index_of(*sizes):
    rows = [(f"i{n}", f"i{n}.png", "train", ("cat",), *size, "") for n, size in enumerate(sizes)]
    return assign_shards(pd.DataFrame(rows, columns=COLUMNS[:-1]), 1)


def table(index, *boxes):
    return box_table([Box(image, "cat", at, False, "") for image, at in boxes], index)


def moved(boxes, index, noise=(0.15, 0.15), seed=0):
    return with_noise(boxes, index, noise, seed)[CORNERS].to_numpy().tolist()


def test_each_side_moves_as_drawn():
    index = index_of((100, 200), (50, 50))
    boxes = table(
        index, ("i0", (50, 20, 149, 69)), ("i0", (10, 10, 29, 19)), ("i1", (5, 5, 44, 24))
    )
    expected = []
    for image, own in (("i0", [(50, 20, 150, 70), (10, 10, 30, 20)]), ("i1", [(5, 5, 45, 25)])):
        drawn = np.random.default_rng([image_seed(3, image), 0]).uniform(-0.1, 0.2, (len(own), 4))
        for (x1, y1, x2, y2), (left, up, right, down) in zip(own, drawn, strict=True):
            width, height = x2 - x1, y2 - y1
            expected.append([
                round(x1 - left * width), round(y1 - up * height),
                round(x2 + right * width) - 1, round(y2 + down * height) - 1,
            ])  # fmt: skip
    assert moved(boxes, index, (0.1, 0.2), 3) == expected
    assert moved(boxes, index, (0, 0)) == boxes[CORNERS].to_numpy().tolist()
    other = moved(boxes, index, (0.1, 0.2), 4)
    assert other != expected
    # An image's noise does not depend on other images.
    assert moved(boxes[2:], index, (0.1, 0.2), 3) == expected[2:]


def test_the_noise_has_the_shares_as_limits():
    index = index_of((1000, 1000))
    boxes = table(index, *[("i0", (300, 400, 699, 599))] * 2000)
    for noise, low, high in (((0.2, 0), -0.2, 0), ((0, 0.2), 0, 0.2), ((0.1, 0.2), -0.1, 0.2)):
        change = np.array(moved(boxes, index, noise)) - [300, 400, 699, 599]
        shares = change * [-1, -1, 1, 1] / [400, 200, 400, 200]
        assert shares.min(0) == pytest.approx([low] * 4, abs=0.006)
        assert shares.max(0) == pytest.approx([high] * 4, abs=0.006)
        assert shares.mean(0) == pytest.approx([(low + high) / 2] * 4, abs=0.01)


def test_boxes_stay_in_their_images_and_keep_a_pixel():
    rng, index = np.random.default_rng(0), index_of((7, 9))
    across, down = (np.sort(rng.integers(side, size=(300, 2))) for side in (9, 7))
    corners = np.stack([across[:, 0], down[:, 0], across[:, 1], down[:, 1]], 1).tolist()
    boxes = table(index, *[("i0", tuple(at)) for at in corners])
    for noise in ((0.49, 0), (0, 1), (0.49, 1)):
        x1, y1, x2, y2 = np.array(moved(boxes, index, noise)).T
        assert (x1 >= 0).all() and (y1 >= 0).all() and (x2 < 9).all() and (y2 < 7).all()
        assert (x1 <= x2).all() and (y1 <= y2).all()
    assert moved(boxes[:0], index) == []


def test_boxes_of_val_are_not_noisy(tmp_path, monkeypatch):
    """Of the program: those of train are, for the same data set."""
    spec = Digits(train=3, val=3, box_noise=(0.3, 0.3))
    recipe = {"seed": 0, "dataset": spec.key() | spec.boxes_key()}
    write_classes(tmp_path / "classes.txt", spec.classes)
    found = {}
    for split in ("train", "val"):
        rows = [(f"{split}-0000{n}", "x.png", split, ("one",), 64, 64, "") for n in range(3)]
        index = assign_shards(pd.DataFrame(rows, columns=COLUMNS[:-1]), 1)
        write_index(tmp_path / f"{split}.csv", index)
        for free in ({}, {"box_noise": None}):
            about = {"seed": 0, "dataset": spec.key()} if free else recipe
            values = {
                "recipe": json.dumps(about), "free": json.dumps(free), "root": tmp_path,
                "index": tmp_path / f"{split}.csv", "classes": tmp_path / "classes.txt",
                "boxes": tmp_path / "boxes.csv",
            }  # fmt: skip
            words = [str(word) for name, value in values.items() for word in (f"--{name}", value)]
            monkeypatch.setattr(sys, "argv", ["list_boxes", *words])
            list_boxes.main()
            found[split, not free] = read_boxes(tmp_path / "boxes.csv")
    assert found["val", True].equals(found["val", False])
    noisy, plain = found["train", True], found["train", False]
    assert not noisy.equals(plain) and noisy["class"].equals(plain["class"])
    expected = with_noise(plain, read_index(tmp_path / "train.csv"), (0.3, 0.3), 0)
    assert noisy.to_dict("list") == expected.to_dict("list")


CONFIG = {
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "detectors": {"fasterrcnn": {"method": "fasterrcnn"}},
    "maps": {"bbam": {"method": "bbam"}, "cam": {"method": "cam"}},
    "instances": {"boxmask": {"method": "boxmask"}, "boxcrf": {"method": "boxcrf"}},
    "experiments": ["{d,n} / {fasterrcnn / bbam / boxmask,boxcrf,vanilla / cam}"],
    "evaluation": {"background_score": 0.5},
    "datasets": {"d": {"kind": "digits"}, "n": {"kind": "digits", "box_noise": [0.1, 0.2]}},
}


def test_what_learns_from_boxes_is_made_again_and_nothing_else():
    started.begin(is_main=True)  # other tests' data sets have the same names
    plan = Plan(CONFIG)
    plain, noisy = (
        {of.method: of for of in plan.artifacts.values() if of.dataset == name} for name in "dn"
    )
    other = {name for name in plain if plain[name].id != noisy[name].id}
    assert other == {"fasterrcnn", "bbam", "boxmask", "boxcrf"}
    assert set(plain) - other >= {"vanilla", "cam"}
    for name in other:
        assert plain[name].supervision == noisy[name].supervision == ("boxes",)
    d, n = (SimpleNamespace(dataset=name) for name in "dn")
    assert json.loads(plan.boxes_recipe(n))["dataset"]["box_noise"] == [0.1, 0.2]
    assert plan.boxes_recipe(d) == plan.dataset_recipe(d) == plan.dataset_recipe(n)
    assert plan.truth_recipe(d) == plan.truth_recipe(n)
    for table in ("train", "val", "val-boxes", "truth", "labelled"):
        assert plan.description(table, "d") == plan.description(table, "n")
    assert plan.description("boxes", "d") != plan.description("boxes", "n")


@pytest.mark.parametrize("noise", [(0.5, 0), (-0.1, 0), (0, 1.1), (0.1,), 0.1])
def test_noise_out_of_range(noise):
    with pytest.raises(ValidationError, match="box_noise"):
        Digits(box_noise=noise)


def test_noise_without_boxes():
    with pytest.raises(ValidationError, match="box_noise: this data set has no boxes; leave it"):
        Folder(images="", tags="", box_noise=(0.1, 0.1))
