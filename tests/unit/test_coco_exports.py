"""COCO files as annotation tools export them: names, categories, sizes, and oddities."""

import copy
import json
import re
import shutil

import pandas as pd
import pytest
from PIL import Image

from tags2masks.data import coco
from tags2masks.data.index import apart, build_index
from tags2masks.errors import UserError
from tests.unit.splits import list_all
from tests.unit.tiny_coco import (
    CATEGORIES,
    TRAIN,
    VAL,
    block,
    edited,
    truth_of,
    write,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "coco").mkdir()
    return write(tmp_path / "coco")


def named(*names, **fields):
    """TRAIN with the images a.jpg and b.jpg called so."""
    content = copy.deepcopy(TRAIN) | fields
    for entry, name in zip(content["images"], names, strict=False):
        entry["file_name"] = name
    return content


@pytest.mark.parametrize(
    "name",
    [
        "sub\\b.jpg",
        "https://host:8080/data/upload/1/b.jpg",
        "http://localhost:8080/data/local-files/?d=photos%2Fmine/b.jpg",
        "http://localhost/data/local-files/?d=photos%5Cb.jpg",
        "s3://bucket/b.jpg#t=0",
        "https://host/my%20files/b.jpg?token=x/y",
    ],
)
def test_names_with_backslashes_and_urls_stand_for_files(folder, name):
    (folder / "train/sub").mkdir()
    shutil.copy(folder / "train/b.jpg", folder / "train/sub/b.jpg")
    path = "train/sub/b.jpg" if "\\b" in name else "train/b.jpg"
    (folder / "annotations/train.json").write_text(json.dumps(named(name)))
    listing, _ = list_all(coco, block(folder), folder)
    assert listing["path"].tolist()[:2] == [path, "train/a.jpg"]
    assert listing["image"].tolist()[0] == path[6:-4]


def test_a_file_whose_name_has_a_backslash_is_that_file(folder):
    (folder / "train/b.jpg").rename(folder / "train/sub\\b.jpg")
    (folder / "annotations/train.json").write_text(json.dumps(named("sub\\b.jpg")))
    listing, _ = list_all(coco, block(folder), folder)
    assert listing["path"].tolist()[0] == "train/sub\\b.jpg"


@pytest.mark.parametrize(
    "name", ["..\\..\\b.jpg", "https://host/..", "http://host/?d=a/..", "x://"]
)
def test_such_names_lead_nowhere_else(folder, name):
    (folder / "annotations/train.json").write_text(json.dumps(named(name)))
    with pytest.raises(UserError, match=r"^\S+train\.json: image '.*' may lie outside "):
        list_all(coco, block(folder), folder)


def test_a_root_category_that_nothing_is_of_is_left_out(folder, capsys):
    root = {"id": 0, "name": "dog", "supercategory": "none"}  # as the class below it is called
    write(folder, train=TRAIN | {"categories": [root, *CATEGORIES]})
    listing, classes = list_all(coco, block(folder), folder)
    assert classes == ["dog", "person", "traffic light"]
    assert listing["tags"].tolist()[:2] == [("person", "traffic light"), ("dog", "person")]
    assert capsys.readouterr().err == ""


def test_categories_that_no_training_image_shows_are_no_classes_and_named(folder, capsys):
    animals, lamp = {"id": 100, "name": "animals"}, {"id": 101, "name": "lamp"}
    write(folder, train=TRAIN | {"categories": [animals, *CATEGORIES, lamp]})
    listing, classes = list_all(coco, block(folder), folder)
    assert classes == ["dog", "person", "traffic light"]
    build_index(listing[listing["split"] == "train"], folder, classes, 1, 1)
    said = f"note: {folder}/annotations/train.json: no class, as no image shows it: animals, lamp\n"
    assert capsys.readouterr().err == said
    (folder / "some.txt").write_text("b\n")
    assert coco.list_classes(block(folder, train_list="some.txt"), folder) == [
        "person",
        "traffic light",
    ]


def test_whole_numbers_may_be_written_as_fractions(folder):
    expected = list_all(coco, block(folder), folder)[0]
    content = copy.deepcopy(TRAIN)
    for entry in (*content["images"], *content["annotations"]):
        entry |= {key: float(value) for key, value in entry.items() if type(value) is int}
    write(folder, train=content)
    assert '"width": 6.0' in (folder / "annotations/train.json").read_text()
    listing, classes = list_all(coco, block(folder), folder)
    assert listing.equals(expected)
    index = build_index(listing, folder, classes, 1, 1)
    boxes = coco.list_boxes(block(folder), folder, index, classes)
    assert boxes[boxes["image"] == "b"][["x1", "y2", "difficult"]].values.tolist() == [
        [2, 3, True],
        [4, 1, False],
    ]
    write(folder, train=named(width=5) | {"images": [TRAIN["images"][0] | {"width": 6.5}]})
    with pytest.raises(UserError, match=r"images, entry 0: width is 6\.5; correct the file"):
        list_all(coco, block(folder), folder)


def test_equal_names_in_two_folders_are_two_images(folder, tmp_path):
    write(folder, val=VAL | {"images": [VAL["images"][0] | {"file_name": "a.jpg"}]})
    Image.new("RGB", (3, 3)).save(folder / "val/a.jpg")
    spec = block(folder)
    listing, classes = list_all(coco, spec, folder)
    train, val = (listing[listing["split"] == split] for split in ("train", "val"))
    val = apart(val, train)
    assert (train["image"].tolist(), val["image"].tolist()) == (["b", "a"], ["val/a"])
    index = build_index(pd.concat([train, val]), folder, classes, 1, 1)
    truth = coco.list_masks(spec, tmp_path, index).set_index("image")["mask"]
    assert truth.to_dict() == {
        "a": "truth/a.png",
        "b": "truth/b.png",
        "val/a": "truth/val/a.png",
    }
    assert Image.open(tmp_path / "truth/val/a.png").size == (3, 3)
    boxes = coco.list_boxes(spec, folder, index, classes)
    assert sorted(set(boxes["image"])) == ["a", "b", "val/a"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            named("./a.jpg"),
            "'train/a.jpg' and 'train/a.jpg' are one image, or differ by the suffix",
        ),
        (named("x" * 5000 + ".jpg"), f"{{folder}}/train/{'x' * 100}"),
        (named("\ud800.jpg"), "{folder}/train/\\ud800.jpg: no such image, but "),
        (named("a\0.jpg"), "{folder}/train/a\\x00.jpg: no such image, but "),
        (named("a\nb.jpg"), "{folder}/train/a\\nb.jpg: no such image, but "),
        (named("/b.jpg"), "image '/b.jpg' may lie outside {folder}/train; write the path"),
        (edited(("categories", 0, "name"), ""), "'' cannot be a class; set classes without it"),
        (edited(("categories", 0, "name"), "\ud800"), "'\\ud800' cannot be a class"),
        (edited(("categories", 0, "name"), "a\rb"), "'a\\rb' cannot be a class"),
        (
            edited(("annotations", 1, "category_id"), 10**400),
            "annotation 11: unknown category 1000",
        ),
        (edited(("images", 0, "width"), float("nan")), "images, entry 0: width is nan"),
        ('{"images": ' + "9" * 5000 + "}", "no whole JSON (Exceeds the limit (4300 digits)"),
    ],
)
def test_oddities_end_in_one_line(folder, content, said):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "annotations/train.json").write_text(text)
    with pytest.raises(UserError) as error:
        list_all(coco, block(folder), folder)
    message = str(error.value)
    assert said.format(folder=folder) in message
    assert len(message.splitlines()) == 1 and len(message) < 600
    assert "0" * 50 not in message  # of a number's 400 digits only the first are shown


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ({"size": [4, 6], "counts": "o" * 1_000_000}, "an RLE with a number that no image has"),
        ({"size": [4, 6], "counts": "0" * 1_000_000}, "an RLE of 0 pixels, but the image has 24"),
        ({"size": [4, 6], "counts": [10**400]}, "an RLE of 1000"),
        ([[10**400, 0, 1, 1, 2, 0]], "a polygon with something that is no number"),
    ],
)
def test_regions_of_endless_numbers_are_refused(folder, tmp_path, segmentation, said):
    harmed = copy.deepcopy(TRAIN)
    harmed["annotations"][0]["segmentation"] = segmentation
    write(folder, train=harmed)
    with pytest.raises(UserError, match=re.escape(f"annotation 10 of image 'train/a.jpg': {said}")):
        truth_of(folder, tmp_path)
