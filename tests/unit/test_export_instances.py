"""Instances exported in COCO's format, read back by pycocotools and by our reader; and as pictures.
"""  # fmt: skip

import contextlib
import io
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tags2masks.coco_export import instance_picture
from tags2masks.config.coco import Coco
from tags2masks.data import coco
from tags2masks.data.index import (
    COLUMNS,
    assign_shards,
    images_sha,
    rows_of,
    write_classes,
    write_index,
)
from tags2masks.instance_store import entry, instance
from tags2masks.store import write_shard
from workflow_scripts import export_instances

SIZE = (4, 6)


def pixels(rows, columns):
    mask = np.zeros(SIZE, bool)
    mask[rows, columns] = True
    return mask


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """The file of three images in two shards, with two instances, none and one."""
    for name in "abc":
        Image.new("RGB", SIZE[::-1]).save(tmp_path / f"{name}.png")
    rows = [(name, f"{name}.png", "train", ("dog",), *SIZE, name) for name in "abc"]
    index = assign_shards(pd.DataFrame(rows, columns=COLUMNS[:-1]), 2)
    write_index(tmp_path / "train.csv", index)
    write_classes(tmp_path / "classes.txt", ["cat", "dog"])
    some = {
        "a": [
            instance(2, pixels(slice(1, 3), slice(2, 5)), 0.5, (1, 1, 5, 3)),
            instance(1, pixels(0, 0)),
        ],
        "b": [],
        "c": [instance(2, pixels(slice(4), slice(6)))],
    }
    shards = [tmp_path / f"{number}.zarr.zip" for number in range(2)]
    for number, path in enumerate(shards):
        part = rows_of(index, "train", number)
        write_shard(
            path, {"id": "x"}, images_sha(part), [entry(n, some[n], SIZE) for n in part["image"]]
        )
    words = ["--id", "x", "--index", tmp_path / "train.csv", "--classes", tmp_path / "classes.txt"]
    words += ["--output", tmp_path / "coco.json", "--pictures", tmp_path / "instances"]
    words += ["--split", "train", "--shards", *shards]
    monkeypatch.setattr(sys, "argv", ["export_instances", *map(str, words)])
    export_instances.main()
    return tmp_path / "coco.json", index, some


def test_pycocotools_reads_it(exported):
    path, index, some = exported
    with contextlib.redirect_stdout(io.StringIO()):
        read = COCO(path)
    assert {each["id"]: each["name"] for each in read.loadCats([1, 2])} == {1: "cat", 2: "dog"}
    by_name = {each["file_name"]: each["id"] for each in read.loadImgs([1, 2, 3])}
    assert list(by_name) == index["path"].tolist()
    for image, instances in some.items():
        listed = read.loadAnns(read.getAnnIds(by_name[f"{image}.png"]))
        assert [each["category_id"] for each in listed] == [each.class_id for each in instances]
        for given, each in zip(listed, instances, strict=True):
            np.testing.assert_array_equal(read.annToMask(given).astype(bool), each.mask)
            assert given["score"] == each.score and given["area"] == each.mask.sum()
    first, *_ = read.loadAnns(read.getAnnIds(by_name["a.png"]))
    assert first["bbox"] == [1, 1, 5, 3] and first["area"] == 6 and first["iscrowd"] == 0


def test_our_reader_reads_it_as_a_data_set(exported):
    path, index, _ = exported
    spec = Coco(root=str(path.parent), train_annotations=path.name, train_images=".")
    listed = coco.list_images(spec, path.parent, "train", ["cat", "dog"])
    assert dict(zip(listed["image"], listed["tags"], strict=True)) == {
        "a": ("cat", "dog"), "c": ("dog",)
    }  # fmt: skip
    boxes = coco.list_boxes(spec, path.parent, index[index["image"] != "b"], ["cat", "dog"])
    assert boxes[["image", "class", "x1", "y1", "x2", "y2"]].to_numpy().tolist() == [
        ["a", "dog", 1, 1, 5, 3], ["a", "cat", 0, 0, 0, 0], ["c", "dog", 0, 0, 5, 3]
    ]  # fmt: skip


def test_pictures_have_the_numbers_of_the_file(exported):
    path, _, _ = exported
    drawn = {
        file.stem: np.asarray(Image.open(file)) for file in (path.parent / "instances").iterdir()
    }
    assert set(drawn) == set("abc") and drawn["b"].max() == 0 and (drawn["c"] == 1).all()
    assert drawn["a"].tolist() == [
        [2, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]
    ]  # fmt: skip


def test_the_best_instance_is_on_top_of_equal_ones_the_smallest():
    large, small, weak = pixels(slice(4), slice(6)), pixels(1, slice(1, 3)), pixels(slice(2), 1)
    some = [instance(1, small, 0.5), instance(2, large, 0.5), instance(1, weak, 0.25)]
    picture = instance_picture(some, SIZE)
    assert (picture[small] == 1).all() and (picture[~small] == 2).all()
    many = [instance(1, pixels(at // 6 % 4, at % 6), at / 300) for at in range(288)]
    picture = instance_picture(many, SIZE)
    # The first 34 are left out; the last 24 are on top, one at each pixel.
    assert picture.ravel().tolist() == list(range(231, 255))
