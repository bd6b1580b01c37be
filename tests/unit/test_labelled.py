"""Which training images have masks to learn from, and the program that lists them."""

import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.config.base import ConfigError
from tags2masks.config.coco import Coco
from tags2masks.config.digits import Digits
from tags2masks.config.folders import Folder
from tags2masks.config.project import parse_config
from tags2masks.config.voc import Voc
from tags2masks.data import digits
from tags2masks.data.index import build_index, write_classes, write_index
from tags2masks.data.labelled import COLUMNS, choose_labelled, label_order
from tags2masks.data.readers import reader_module
from tags2masks.data.tables import read_checked
from tags2masks.errors import UserError
from tests.unit.splits import list_all
from tests.unit.test_readers import call
from workflow_scripts import list_labelled

CLASSES = ("cat", "dog", "owl")


def random_tags(count, seed=0):
    """Most images show cats, some dogs too, one in ten an owl, some nothing."""
    rng = np.random.default_rng(seed)
    shares = {"cat": 0.8, "dog": 0.3, "owl": 0.1}
    drawn = [[name for name, p in shares.items() if rng.random() < p] for _ in range(count)]
    return [f"i{n}" for n in range(count)], [tuple(names) for names in drawn]


def test_classes_take_turns():
    images, tags = random_tags(200)
    order = label_order(images, tags, CLASSES, 0)
    assert sorted(order) == sorted(images)
    of = dict(zip(images, tags, strict=True))
    # While each class has images left, a turn is one of each.
    for start in range(0, 30, 3):
        turn = order[start : start + 3]
        assert all(name in of[image] for name, image in zip(CLASSES, turn, strict=True))
    untagged = [image for image in images if not of[image]]
    assert untagged and set(order[-len(untagged) :]) == set(untagged)


def test_by_hand():
    images, tags = ["p", "q", "r", "s", "t"], [("a",), ("a", "b"), (), ("a",), ("b",)]
    ranked = sorted(images, key=lambda image: hashlib.sha256(f"8,{image}".encode()).hexdigest())
    assert ranked == ["p", "t", "r", "s", "q"]
    # a takes p and b takes t, then a takes s and b takes q; r shows nothing.
    assert label_order(images, tags, ("a", "b"), 8) == ["p", "t", "s", "q", "r"]
    # b takes t and a takes p, then b takes q and a takes s.
    assert label_order(images, tags, ("b", "a"), 8) == ["t", "p", "q", "s", "r"]


def test_few_are_among_many_and_new_images_move_no_other():
    images, tags = random_tags(300)
    rows = pd.DataFrame({"image": images, "path": images, "tags": tags})
    chosen = {n: choose_labelled(n, rows, CLASSES, 3) for n in (1, 4, 16, 64, 300)}
    for few, many in ((1, 4), (4, 16), (16, 64), (64, 300)):
        assert chosen[many][:few] == chosen[few]
    more = pd.concat([rows, rows.iloc[:5].assign(image=[f"new{n}" for n in range(5)])])
    shuffled = more.sample(frac=1, random_state=0)
    assert len(choose_labelled(305, shuffled, CLASSES, 3)) == 305
    assert len(set(choose_labelled(16, shuffled, CLASSES, 3)) & set(chosen[16])) >= 14
    assert choose_labelled(16, rows, CLASSES, 4) != chosen[16]


@pytest.mark.parametrize(("share", "count"), [(0.1, 1), (0.01, 1), (0.25, 2), (0.5, 5), (0.99, 10)])
def test_a_share_is_rounded_to_one_at_least(share, count):
    rows = pd.DataFrame({"image": list("abcdefghij"), "path": list("abcdefghij")})
    rows["tags"] = [("cat",)] * 10
    assert len(choose_labelled(share, rows, ("cat",), 0)) == count


def test_names_and_paths_may_be_listed():
    rows = pd.DataFrame({"image": ["s/a", "b"], "path": ["s/a.jpg", "b.png"], "tags": [(), ()]})
    assert choose_labelled(("b", "s/a.jpg", "b.png"), rows, ("cat",), 0) == ["b", "s/a"]
    with pytest.raises(UserError) as raised:
        choose_labelled(("c", "b", "a"), rows, ("cat",), 0)
    assert str(raised.value).splitlines() == [
        "labelled: no image 'c' of split train; correct it, or take it out",
        "labelled: no image 'a' of split train; correct it, or take it out",
    ]
    with pytest.raises(UserError, match="labelled: 3 images, but there are 2 of split train; low"):
        choose_labelled(3, rows, ("cat",), 0)


@pytest.mark.parametrize("value", [1, 12, 0.5, ["a"], ("a", "b"), "all", None])
def test_values_of_labelled(value):
    raw = {"kind": "digits", "labelled": value}
    config = parse_config(
        {
            "datasets": {"d": raw},
            "classifiers": {"v": {"method": "vanilla"}},
            "experiments": ["d/v"],
        }
    )
    found = config.datasets["d"].labelled
    assert found == (tuple(value) if isinstance(value, list) else value)
    assert type(found) is not list


@pytest.mark.parametrize("value", [0, -1, 1.0, 0.0, 1.5, True, "some", [], [1], {"a": 1}])
def test_values_that_are_none_of_labelled(value):
    raw = {"datasets": {"d": {"kind": "digits", "labelled": value}}, "experiments": ["d/v"]}
    with pytest.raises(ConfigError) as raised:
        parse_config(raw)
    assert str(raised.value).startswith("datasets.d.labelled: ")
    assert "is no number of images, no share between 0 and 1" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_belongs_in_the_key_of_what_learns_from_masks():
    assert "labelled" not in Digits(labelled=4).key()
    assert Digits(labelled=4).labelled_key() == {"labelled": 4}
    assert Folder(images="", tags="", labelled=("a",)).labelled_key() == {"labelled": ["a"]}
    assert Coco(root="", labelled=0.5).labelled_key() == {
        "labelled": 0.5, "others": "background", "crowd": "class",
    }  # fmt: skip
    key = Voc(root="", labelled="all", others="ignore").labelled_key()
    assert key.pop("names")[0] == "aeroplane" and key == {"labelled": "all", "others": "ignore"}


@pytest.fixture
def photos(tmp_path):
    """Six training images and one for evaluation, all but c and e with masks."""
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    for name in "abcdefv":
        Image.new("RGB", (4, 3)).save(tmp_path / f"photos/{name}.png")
        if name not in "ce":
            Image.fromarray(np.full((3, 4), 1, np.uint8)).save(tmp_path / f"masks/{name}.png")
    listing = pd.DataFrame({"image": list("abcdefv")})
    listing["path"] = listing["image"] + ".png"
    listing["split"] = ["train"] * 6 + ["val"]
    listing["tags"] = [("cat",)] * 7
    write_index(tmp_path / "index.csv", build_index(listing, tmp_path / "photos", ["cat"], 1, 1))
    write_classes(tmp_path / "classes.txt", ["cat"])
    return tmp_path


def listed(monkeypatch, folder, labelled):
    spec = Folder(images="", tags="", masks="m", classes=("cat",), labelled=labelled)
    recipe = {"seed": 0, "dataset": spec.key() | spec.labelled_key()}
    call(
        monkeypatch, list_labelled, recipe=json.dumps(recipe), root=folder / "masks",
        index=folder / "index.csv", classes=folder / "classes.txt",
        labelled=folder / "labelled.csv",
    )  # fmt: skip
    return read_checked(folder / "labelled.csv", COLUMNS, "run again").values.tolist()


def test_the_table_of_named_images(photos, monkeypatch):
    assert listed(monkeypatch, photos, ("d", "a.png")) == [["d", "d.png", ""], ["a", "a.png", ""]]


def test_all_are_those_that_have_masks(photos, monkeypatch, capsys):
    assert listed(monkeypatch, photos, "all") == [[name, f"{name}.png", ""] for name in "abdf"]
    assert capsys.readouterr().err.splitlines()[0] == (
        "note: 2 of 6 train images have no mask and are left out; the first lacks "
        f"{photos}/masks/c.png"
    )
    for mask in (photos / "masks").iterdir():
        mask.unlink()
    with pytest.raises(UserError, match=r"none of 6 images has a mask; the first lacks .*a\.png"):
        listed(monkeypatch, photos, "all")


@pytest.mark.parametrize("labelled", [6, 0.99, ("a", "c", "e")])
def test_a_chosen_image_without_a_mask_is_told(photos, monkeypatch, labelled):
    with pytest.raises(UserError) as raised:
        listed(monkeypatch, photos, labelled)
    count = len(labelled) if isinstance(labelled, tuple) else 6
    said = rf"labelled: 2 of {count} chosen images have no mask; the first lacks \S+/[ce]\.png; add"
    assert re.match(said, str(raised.value)) and "\n" not in str(raised.value)
    assert not (photos / "labelled.csv").exists()


def test_masks_are_checked(photos, monkeypatch):
    Image.fromarray(np.full((3, 4), 2, np.uint8)).save(photos / "masks/d.png")
    with pytest.raises(UserError, match=r"masks/d\.png: holds id 2, not among 0-1, 255"):
        listed(monkeypatch, photos, ("d", "a"))


def test_kinds_that_draw_masks_draw_them_apart_from_the_truth(tmp_path):
    spec = Digits(train=12, val=1, ood=1)
    listing, classes = list_all(digits, spec, tmp_path)
    index = build_index(listing, tmp_path, classes, 1, 1)
    found = reader_module("digits").list_masks(spec, tmp_path, index[2:4], 0, "labelled")
    assert found["mask"].tolist() == [f"labelled/masks/train-0000{n}.png" for n in (2, 3)]
    assert not (tmp_path / "truth").exists()
