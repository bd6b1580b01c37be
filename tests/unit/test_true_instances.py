"""True instances: of digits, of VOC with its objects and with boxes alone, and of COCO."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.config.digits import Digits, Mnist
from tags2masks.config.folders import Folder
from tags2masks.config.voc import Voc
from tags2masks.data import coco, digits, voc
from tags2masks.data.index import (
    COLUMNS,
    assign_shards,
    images_sha,
    write_classes,
    write_index,
)
from tags2masks.data.scenes import draw_scene
from tags2masks.data.true_instances import inside_boxes, separated
from tags2masks.data.truth import write_truth
from tags2masks.instance_store import read_instances
from tags2masks.palette import write_palette_png
from tags2masks.store import Shard
from tests.unit.tiny_coco import block, write
from workflow_scripts import list_instances


def shown(instances):
    """Class, box and number of pixels of each."""
    return [(each.class_id, each.box, int(each.mask.sum())) for each in instances]


def test_objects_by_hand():
    objects = np.array([[1, 1, 0, 2], [1, 255, 0, 2], [3, 3, 0, 0]], np.uint8)
    mask = np.array([[5, 5, 0, 7], [5, 255, 0, 255], [0, 0, 0, 0]], np.uint8)
    # The second object's first class counts as much as what is ignored; the third is not chosen.
    assert shown(separated(objects, mask)) == [(5, (0, 0, 1, 1), 3), (7, (3, 0, 3, 1), 2)]
    assert separated(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)) == []


def test_pixels_of_a_class_in_its_boxes_by_hand():
    mask = np.array([[1, 1, 2, 1], [1, 2, 2, 1], [0, 0, 0, 0]], np.uint8)
    found = inside_boxes(mask, [(1, (0, 0, 1, 1)), (2, (1, 0, 2, 1)), (1, (3, 0, 3, 2))])
    assert shown(found) == [(1, (0, 0, 1, 1), 3), (2, (1, 0, 2, 1), 3), (1, (3, 0, 3, 1), 2)]
    assert inside_boxes(mask, [(1, (0, 0, 2, 1)), (1, (2, 0, 3, 1))]) is None
    assert inside_boxes(mask, [(3, (0, 0, 3, 2))]) == []  # nothing of it is seen
    assert inside_boxes(mask, []) == []


def test_digits_are_the_generators(tmp_path):
    spec = Digits(classes=("three", "four"), train=3, val=1, size=48, digit_size=(10, 16))
    index = digits.list_images(spec, tmp_path, "train", spec.classes, 5)
    truth = digits.list_masks(spec, tmp_path, index, 5)
    rows = index.assign(height=48, width=48)
    found = list(digits.true_instances(spec, tmp_path, truth, rows, spec.classes, 5))
    for number, instances in enumerate(found):
        scene = draw_scene(spec, "train", number, 5)
        assert [(each.class_id - 1, each.box) for each in instances] == scene.objects
        for place, each in enumerate(instances, start=1):
            np.testing.assert_array_equal(each.mask, scene.instances == place)
    assert sum(map(len, found)) > 3


BOX = "<object><name>{}</name><bndbox>{}</bndbox></object>"


@pytest.fixture
def devkit(tmp_path):
    """Two images of 4 × 6 pixels, a with a cat and a dog, b with two cats in boxes that overlap."""
    boxes = {
        "a": [("cat", 1, 1, 3, 2), ("dog", 4, 1, 6, 4)],
        "b": [("cat", 1, 1, 3, 4), ("cat", 3, 1, 6, 4)],
    }
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "SegmentationClass").mkdir()
    for name, listed in boxes.items():
        mask = np.zeros((4, 6), np.uint8)
        text = ""
        for kind, *corners in listed:
            pairs = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
            text += BOX.format(kind, "".join(f"<{key}>{n}</{key}>" for key, n in pairs))
            x1, y1, x2, y2 = corners
            mask[y1 - 1 : y2, x1 - 1 : x2] = voc_id(kind)
        mask[0, 0] = 255
        (tmp_path / "Annotations" / f"{name}.xml").write_text(f"<annotation>{text}</annotation>")
        write_palette_png(tmp_path / "SegmentationClass" / f"{name}.png", mask)
    return tmp_path


def voc_id(name):
    return Voc(root="").names.index(name) + 1


def of_voc(root, images=("a", "b"), **options):
    spec = Voc(root=str(root), **options)
    index = pd.DataFrame({"image": list(images), "split": "train", "height": 4, "width": 6})
    masks = [f"SegmentationClass/{name}.png" for name in images]
    objects = [f"SegmentationObject/{name}.png" for name in images]
    objects = [path if (root / path).exists() else "" for path in objects]
    truth = pd.DataFrame({"image": list(images), "mask": masks, "instances": objects})
    found = voc.true_instances(spec, root, truth, index, list(spec.classes))
    return [each and shown(each) for each in found]


def test_voc_by_its_boxes(devkit):
    cat, dog = voc_id("cat"), voc_id("dog")
    # What is ignored at the corner is of no object.
    assert of_voc(devkit) == [[(cat, (0, 0, 2, 1), 5), (dog, (3, 0, 5, 3), 12)], None]
    assert of_voc(devkit, classes=("dog",)) == [[(1, (3, 0, 5, 3), 12)], []]


def test_voc_by_its_objects(devkit):
    (devkit / "SegmentationObject").mkdir()
    objects = np.zeros((4, 6), np.uint8)
    objects[:2, :3], objects[:, 3:5], objects[:, 5], objects[0, 0] = 1, 2, 3, 255
    write_palette_png(devkit / "SegmentationObject" / "a.png", objects)
    dog = voc_id("dog")
    expected = [(voc_id("cat"), (0, 0, 2, 1), 5), (dog, (3, 0, 4, 3), 8), (dog, (5, 0, 5, 3), 4)]
    assert of_voc(devkit) == [expected, None]  # b has no file in the folder
    assert of_voc(devkit, classes=("cat",)) == [[(1, (0, 0, 2, 1), 5)], None]


def test_coco_by_its_regions(tmp_path):
    spec = block(write(tmp_path))
    index = pd.DataFrame(
        {"image": ["a", "b"], "path": ["train/a.jpg", "train/b.jpg"], "split": "train"}
    ).assign(height=4, width=6)
    truth = pd.DataFrame({"image": ["a", "b"], "mask": ["a.png", "b.png"], "instances": ""})
    classes = ["person", "dog"]
    first, second = coco.true_instances(spec, tmp_path, truth, index, classes)
    assert shown(first) == [(2, (1, 1, 2, 2), 4), (1, (0, 0, 3, 3), 16)]  # whole, though covered
    assert shown(second) == [(1, (2, 0, 2, 3), 4)]  # traffic lights are not chosen
    assert [each.crowd for each in (*first, *second)] == [False, False, True]


def test_kinds_that_have_true_instances(tmp_path):
    assert Digits().has_instances and Voc(root=str(tmp_path / "absent")).has_instances
    assert not Voc(root=str(tmp_path)).has_instances  # nor masks
    assert not Mnist(root="").has_instances
    assert not Folder(images="", tags="", masks="m", classes=("a",)).has_instances


def test_the_program_tells_how_many_are_not_known(devkit, monkeypatch, capsys):
    rows = [(name, f"{name}.jpg", "train", ("cat",), 4, 6, name) for name in ("a", "b", "c")]
    for name, *_ in rows:
        Image.new("RGB", (6, 4)).save(devkit / f"{name}.jpg")
    index = assign_shards(pd.DataFrame(rows, columns=COLUMNS[:-1]), 1)
    write_index(devkit / "train.csv", index)
    write_classes(devkit / "classes.txt", ["cat"])
    masks = [f"SegmentationClass/{name}.png" for name in ("a", "b")]
    truth = pd.DataFrame({"image": ["a", "b"], "mask": masks, "instances": ""})
    write_truth(devkit / "truth.csv", truth)
    recipe = {"seed": 0, "dataset": {"kind": "voc", "classes": ["cat"]}}
    out = devkit / "true.zarr.zip"
    values = {
        "recipe": json.dumps(recipe), "root": devkit, "index": devkit / "train.csv",
        "classes": devkit / "classes.txt", "truth": devkit / "truth.csv", "split": "train",
        "shard": 0, "output": out,
    }  # fmt: skip
    words = [str(word) for name, value in values.items() for word in (f"--{name}", value)]
    monkeypatch.setattr(sys, "argv", ["list_instances", *words])
    list_instances.main()
    assert "note: the instances of 1 of 2 train images with a mask are not known" in (
        capsys.readouterr().err
    )
    with Shard(out, "true_instances", images_sha(index)) as shard:
        assert [shard.holds(name) for name in "abc"] == [True, False, False]
        assert shown(read_instances(shard, "a")) == [(1, (0, 0, 2, 1), 5)]
