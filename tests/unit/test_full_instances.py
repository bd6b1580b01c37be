"""True instances to learn from: those of labelled images alone, and the masks that they make."""

import json
import sys

import numpy as np
import pytest

from tags2masks.config.digits import Digits
from tags2masks.config.instances import Full
from tags2masks.data import digits
from tags2masks.data.index import build_index, images_sha, rows_of, write_classes, write_index
from tags2masks.data.labelled import write_labelled
from tags2masks.data.scenes import draw_scene
from tags2masks.instance_store import read_instances
from tags2masks.store import Shard
from tags2masks.workflow.ids import artifact_id
from tests.unit.splits import list_all
from workflow_scripts import merge_instances
from workflow_scripts import read_instances as program

SPEC = Digits(train=4, val=1, ood=1, classes=("zero", "one"))
LABELLED = ["train-00001", "train-00003"]


def call(monkeypatch, module, **values):
    words = [
        str(word)
        for name, value in values.items()
        for word in (f"--{name.replace('_', '-')}", value)
    ]
    monkeypatch.setattr(sys, "argv", ["program", *words])
    module.main()


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The folder of a data set, its rows of train, and the recipe of the instances made of it."""
    listing, classes = list_all(digits, SPEC, tmp_path)
    index = build_index(listing, tmp_path, classes, 1, 1)
    write_index(tmp_path / "train.csv", index)
    write_classes(tmp_path / "classes.txt", SPEC.classes)
    chosen = index[index["image"].isin(LABELLED)]
    masks = digits.list_masks(SPEC, tmp_path, chosen, 0, "labelled")
    write_labelled(tmp_path / "labelled.csv", masks)
    recipe = {"stage": "instances", "method": "full", "spec": Full().key(), "upstream": {}}
    recipe |= {"seed": 5, "dataset": SPEC.key()}
    call(
        monkeypatch, program, recipe=json.dumps(recipe), root=tmp_path, mask_root=tmp_path,
        index=tmp_path / "train.csv", classes=tmp_path / "classes.txt", split="train", shard=0,
        labelled=tmp_path / "labelled.csv", output=tmp_path / "0.zarr.zip",
        places=json.dumps({"shards": 1}),
    )  # fmt: skip
    return tmp_path, rows_of(index, "train"), recipe


def test_they_are_those_of_the_scenes(made):
    folder, rows, recipe = made
    with Shard(folder / "0.zarr.zip", artifact_id(recipe), images_sha(rows)) as shard:
        assert shard.partial and [n for n in rows["image"] if shard.holds(n)] == LABELLED
        for image in LABELLED:
            scene = draw_scene(SPEC, "train", int(image[-5:]), 0)
            found = read_instances(shard, image)
            assert [each.class_id for each in found] == [kind + 1 for kind, _ in scene.objects]
            assert [each.box for each in found] == [box for _, box in scene.objects]
            for number, each in enumerate(found, start=1):
                np.testing.assert_array_equal(each.mask, scene.instances == number)
                assert each.possible_code is None


def test_their_semantic_masks_are_of_the_same_images(made, monkeypatch):
    folder, rows, recipe = made
    upstream = {"instances": artifact_id(recipe)}
    semantic = {"stage": "masks", "method": "semantic", "spec": {}, "upstream": upstream}
    call(
        monkeypatch, merge_instances, recipe=json.dumps(semantic), root=folder,
        index=folder / "train.csv", classes=folder / "classes.txt", split="train", shard=0,
        instances=folder / "0.zarr.zip", output=folder / "masks.zarr.zip",
    )  # fmt: skip
    sha = images_sha(rows)
    with Shard(folder / "masks.zarr.zip", artifact_id(semantic), sha) as shard:
        assert shard.partial and [n for n in rows["image"] if shard.holds(n)] == LABELLED
        for image in LABELLED:
            scene = draw_scene(SPEC, "train", int(image[-5:]), 0)
            mask, _ = shard.read(image)
            known = mask != 255  # boxes of two classes may have pixels in common
            np.testing.assert_array_equal(mask[known], scene.mask[known])
            assert (mask == scene.mask).mean() > 0.9
