"""True masks in the place of pseudo-masks, of all training images or of some."""

from argparse import Namespace

import numpy as np
import pandas as pd
import pytest

from tags2masks.config.digits import Digits
from tags2masks.config.training import Augment
from tags2masks.data.index import images_sha, write_classes, write_index
from tags2masks.data.labelled import TrueMasks, write_labelled
from tags2masks.data.masked import MaskedViews
from tags2masks.data.truth import plain_table, write_truth
from tags2masks.errors import UserError
from tags2masks.masks.full import labelled_masks
from tags2masks.metrics import measuring
from tags2masks.palette import write_palette_png
from tags2masks.store import Shard, write_shard

NAMES = ["a", "b", "c", "d", "e"]
VIEWS = Augment(resize=(8, 8), crop=8, flip=0)


@pytest.fixture
def rows(tmp_path):
    """Five images of 8 × 8 whose grey tells them apart, and masks of two of them."""
    for number, name in enumerate(NAMES):
        write_palette_png(tmp_path / f"{name}.png", np.full((8, 8), number, np.uint8))
    for name, label in (("b", 1), ("d", 2)):
        write_palette_png(tmp_path / f"{name}-mask.png", np.full((8, 8), label, np.uint8))
    return pd.DataFrame(
        {"image": NAMES, "path": [f"{name}.png" for name in NAMES], "shard": [0, 0, 0, 1, 1],
         "height": 8, "width": 8, "sha": NAMES}
    )  # fmt: skip


def true_masks(folder, masks):
    return TrueMasks({image: folder / name for image, name in masks.items()}, plain_table(2))


def shards(folder, rows, masks):
    files = []
    for number in (0, 1):
        part = rows[rows["shard"] == number].reset_index(drop=True)
        entries = labelled_masks(part, true_masks(folder, masks))
        files.append(folder / f"{number}.zarr.zip")
        about = {"id": "full-01234567", "partial": True}
        write_shard(files[-1], about, images_sha(part), entries)
    return files


def test_only_labelled_images_are_in_the_shards(tmp_path, rows):
    files = shards(tmp_path, rows, {"b": "b-mask.png", "d": "d-mask.png"})
    with Shard(files[0], "full-01234567", images_sha(rows[:3])) as shard:
        assert shard.partial and shard.n == 1
        assert [name for name in NAMES if shard.holds(name)] == ["b"]
        assert (shard.read("b")[0] == 1).all()


def test_a_few_masks_give_as_many_views_as_there_are_training_images(tmp_path, rows):
    files = shards(tmp_path, rows, {"b": "b-mask.png", "d": "d-mask.png"})
    views = MaskedViews(rows, tmp_path, files, "full-01234567", VIEWS, (0, 0, 0))
    assert len(views) == 5
    seen = [
        int(views[place, 0, epoch, place][1].unique()) for epoch in range(4) for place in range(5)
    ]
    assert seen.count(1) == seen.count(2) == 10  # over epochs of an odd length each as often
    passes = [seen[at : at + 2] for at in range(0, 20, 2)]
    assert all(sorted(one) == [1, 2] for one in passes) and [1, 2] in passes and [2, 1] in passes


def test_no_mask_at_all_is_told(tmp_path, rows):
    files = shards(tmp_path, rows, {})
    with pytest.raises(UserError, match=r"0\.zarr\.zip: no mask in it; delete it and run again"):
        MaskedViews(rows, tmp_path, files, "full-01234567", VIEWS, (0, 0, 0))


def test_whole_shards_give_each_image_once(tmp_path, rows):
    files = []
    for number in (0, 1):
        part = rows[rows["shard"] == number]
        files.append(tmp_path / f"{number}.zarr.zip")
        entries = [
            (name, np.full((8, 8), NAMES.index(name), np.uint8), {}) for name in part["image"]
        ]
        write_shard(files[-1], {"id": "x-01234567"}, images_sha(part), entries)
    views = MaskedViews(rows, tmp_path, files, "x-01234567", VIEWS, (0, 0, 0))
    assert [int(views[row, 0, 0, row][1][0, 0]) for row in range(5)] == [0, 1, 2, 3, 4]


def test_a_mask_of_another_size_is_told(tmp_path, rows):
    other = rows.assign(height=9)
    with pytest.raises(UserError, match=r"b-mask\.png: 8 × 8 pixels, but its image has 8 × 9"):
        list(labelled_masks(other, true_masks(tmp_path, {"b": "b-mask.png"})))


@pytest.mark.parametrize(
    ("learned", "measured"),
    [(["b"], ["d"]), (["b", "d"], []), (["a", "b", "c", "d", "e"], []), ([], ["b", "d"])],
)
def test_images_that_were_learned_from_are_not_measured(tmp_path, rows, learned, measured):
    files = shards(tmp_path, rows, {"b": "b-mask.png", "d": "d-mask.png"})
    write_index(tmp_path / "train.csv", rows.assign(split="train", tags=[("one",)] * 5))
    write_classes(tmp_path / "classes.txt", ["one", "two"])
    truth = rows[["image"]].assign(mask="b-mask.png", instances="", boxes=[[]] * 5)
    write_truth(tmp_path / "truth.csv", truth)
    listed = pd.DataFrame({"image": learned, "mask": "m", "instances": ""})
    write_labelled(tmp_path / "labelled.csv", listed)
    found = measuring.work(
        Namespace(
            recipe={"dataset": Digits(classes=("one", "two")).key(), "seed": 0},
            id="full-01234567", split="train", index=[tmp_path / "train.csv"],
            classes=tmp_path / "classes.txt", truth=tmp_path / "truth.csv", root=tmp_path,
            shards=files, only=None, left_out=tmp_path / "labelled.csv", cam=None, cams=[],
        )
    )  # fmt: skip
    assert [truth[0] for chunk in found.chunks for truth in chunk.truths] == measured
