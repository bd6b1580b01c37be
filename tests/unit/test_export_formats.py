"""Masks in the formats of other programs, read back: the same pixels."""

import argparse
import json
import tarfile
from xml.etree import ElementTree as Xml

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tags2masks.commands import predict
from tags2masks.config.voc import VOC_CLASSES
from tags2masks.errors import UserError
from tags2masks.export.formats import FORMATS, Annotated, objects_of
from tags2masks.export.masks import write_masks
from tags2masks.instance_store import instance
from tags2masks.palette import write_palette_png

CLASSES = ["cat", "house cat", 'ö "&<']
PATHS = ["a.jpg", "sub/b 1.png", "c.jpg"]
SIZES = [(13, 17), (20, 9), (5, 6)]
OF_OBJECTS = sorted(FORMATS.keys() - {"voc"})


@pytest.fixture(scope="module")
def masks():
    """Random masks with ignored pixels, of all classes; the last has background alone."""
    rng = np.random.default_rng(0)
    drawn = [rng.choice([0, 0, 1, 2, 3, 3, 255], size).astype(np.uint8) for size in SIZES]
    drawn[2][:] = 0
    return drawn


def rows_of(paths=PATHS):
    table = pd.DataFrame({"image": paths, "path": paths})
    return table.assign(height=[h for h, _ in SIZES], width=[w for _, w in SIZES])


@pytest.fixture(scope="module")
def folder(masks, tmp_path_factory):
    """A folder with all formats."""
    folder = tmp_path_factory.mktemp("formats")
    given = Annotated(rows_of(), CLASSES, [objects_of(mask) for mask in masks])
    for name in OF_OBJECTS:
        FORMATS[name](folder, given)
    return folder


def painted(parts, size):
    """The mask of (class id, bool [H, W]) parts, which must not overlap."""
    mask = np.zeros(size, np.uint8)
    for class_id, pixels in parts:
        assert not mask[pixels].any()
        mask[pixels] = class_id
    return mask


def inside(corners, size):
    """The pixels of a polygon, by pycocotools."""
    (code,) = coco_mask.frPyObjects([[float(side) for side in np.ravel(corners)]], *size)
    return coco_mask.decode(code).astype(bool)


def known(masks, number):
    return np.where(masks[number] == 255, 0, masks[number])


@pytest.mark.parametrize("file", ["coco.json", "coco-polygons.json"])
def test_coco_by_pycocotools(folder, masks, file):
    read = COCO(folder / file)
    assert [each["name"] for each in read.loadCats([1, 2, 3])] == CLASSES
    for number, (path, size) in enumerate(zip(PATHS, SIZES, strict=True)):
        (image,) = (each for each in read.imgs.values() if each["file_name"] == path)
        own = read.loadAnns(read.getAnnIds(image["id"]))
        parts = [(each["category_id"], read.annToMask(each).astype(bool)) for each in own]
        np.testing.assert_array_equal(painted(parts, size), known(masks, number))
        for each, (_, pixels) in zip(own, parts, strict=True):
            assert each["area"] == pixels.sum()
            x, y, w, h = each["bbox"]
            assert pixels[y : y + h, x : x + w].sum() == pixels.sum()


def test_yolo(folder, masks):
    data = yaml.safe_load((folder / "yolo/data.yaml").read_text(encoding="utf-8"))
    assert data == {
        "path": ".", "train": "images", "val": "images", "names": dict(enumerate(CLASSES))
    }  # fmt: skip
    for number, name in enumerate(("a.txt", "sub/b 1.txt", "c.txt")):
        height, width = size = SIZES[number]
        parts = []
        for line in (folder / "yolo/labels" / name).read_text().splitlines():
            class_id, *sides = map(float, line.split())
            assert min(sides) >= 0 and max(sides) <= 1
            corners = np.reshape(sides, (-1, 2)) * (width, height)
            np.testing.assert_allclose(corners, corners.round(), atol=1e-5)
            parts.append((int(class_id) + 1, inside(corners, size)))
        np.testing.assert_array_equal(painted(parts, size), known(masks, number))


def test_label_studio(folder, masks):
    tasks = json.loads((folder / "label_studio.json").read_text(encoding="utf-8"))
    assert [task["data"]["image"] for task in tasks] == PATHS
    for number, task in enumerate(tasks):
        parts = []
        for region in task["predictions"][0]["result"]:
            width, height = region["original_width"], region["original_height"]
            assert (height, width) == SIZES[number]
            corners = np.array(region["value"]["points"]) / 100 * (width, height)
            (name,) = region["value"]["polygonlabels"]
            parts.append((CLASSES.index(name) + 1, inside(corners, SIZES[number])))
        np.testing.assert_array_equal(painted(parts, SIZES[number]), known(masks, number))
    view = Xml.parse(folder / "label_studio.xml").getroot()
    assert [each.get("value") for each in view.iter("Label")] == CLASSES
    names = {region["to_name"] for task in tasks for region in task["predictions"][0]["result"]}
    assert names == {view.find("Image").get("name")}


def test_cvat(folder, masks):
    root = Xml.parse(folder / "cvat.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert [each.text for each in root.iterfind("meta/task/labels/label/name")] == CLASSES
    images = root.findall("image")
    assert [each.get("name") for each in images] == PATHS
    for number, image in enumerate(images):
        parts = []
        for each in image:
            left, top, w, h = (int(each.get(n)) for n in ("left", "top", "width", "height"))
            counts = [int(count) for count in each.get("rle").split(",")]
            values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
            pixels = np.zeros(SIZES[number], bool)
            pixels[top : top + h, left : left + w] = values.reshape(h, w)
            parts.append((CLASSES.index(each.get("label")) + 1, pixels))
        np.testing.assert_array_equal(painted(parts, SIZES[number]), known(masks, number))


def test_instances_may_overlap(tmp_path):
    both = np.zeros((2, 4, 5), bool)
    both[0, :, :3], both[1, 1:, 2:] = True, True
    own = [instance(2, both[0], 0.75), instance(2, both[1], 0.5), instance(1, both[0] & False)]
    given = Annotated(rows_of().iloc[:1].assign(height=4, width=5), CLASSES, [own])
    for name in OF_OBJECTS:
        FORMATS[name](tmp_path, given)
    annotations = COCO(tmp_path / "coco.json").anns.values()
    assert [each["score"] for each in annotations] == [0.75, 0.5, 1.0]
    masks = Xml.parse(tmp_path / "cvat.xml").findall("image/mask")
    assert [each.get("rle") for each in masks] == ["0, 12", "0, 9"]  # none of no pixels
    lines = (tmp_path / "yolo/labels/a.txt").read_text().splitlines()
    assert lines == ["1 0 0 0.6 0 0.6 1 0 1", "1 0.4 0.25 1 0.25 1 1 0.4 1"]


def unseen():
    """Entries that nobody asks for."""
    pytest.fail("a mask is made before the formats are checked")
    yield


def test_yolo_has_one_name_for_two_suffixes(tmp_path):
    rows = rows_of(["a.jpg", "a.png", "b.png"])
    said = r"^yolo: two images would have the file a\.txt; give them other names"
    with pytest.raises(UserError, match=said):
        write_masks(tmp_path, unseen(), rows, CLASSES, ["coco", "yolo"])
    assert list(tmp_path.iterdir()) == []


def test_voc_as_its_server_takes_it(masks, tmp_path):
    for path, mask in zip(PATHS, masks, strict=True):
        write_palette_png(tmp_path / f"{path}.png", mask)
    given = Annotated(rows_of(), VOC_CLASSES, [[]] * 3)
    FORMATS["voc"](tmp_path, given)
    with tarfile.open(tmp_path / "voc.tgz") as archive:
        names = archive.getnames()
        for name, mask in zip(names, masks, strict=True):
            picture = Image.open(archive.extractfile(name))
            np.testing.assert_array_equal(np.asarray(picture), mask)
            assert picture.mode == "P"
            assert picture.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    folder = "results/VOC2012/Segmentation/comp6_test_cls"
    assert names == [f"{folder}/a.png", f"{folder}/b 1.png", f"{folder}/c.png"]
    first = (tmp_path / "voc.tgz").read_bytes()
    FORMATS["voc"](tmp_path, given)
    assert (tmp_path / "voc.tgz").read_bytes() == first


def test_voc_is_of_its_classes_and_of_single_names(tmp_path):
    with pytest.raises(UserError, match=r"^voc: the server takes masks of PASCAL VOC's 20 classes"):
        write_masks(tmp_path, unseen(), rows_of(), VOC_CLASSES[::-1], ["voc"])
    rows = rows_of(["a/x.jpg", "b/x.jpg", "y.jpg"])
    with pytest.raises(UserError, match=r"^voc: two images would have the file x\.png; give them"):
        write_masks(tmp_path, unseen(), rows, VOC_CLASSES, ["voc"])
    assert list(tmp_path.iterdir()) == []


def test_the_command_has_every_format():
    commands = argparse.ArgumentParser().add_subparsers()
    predict.add(commands)
    actions = commands.choices["predict"]._actions
    (choices,) = (each.choices for each in actions if each.dest == "format")
    assert list(choices) == sorted(FORMATS)
