"""Folders of huge images, cut into tiles by the programs that list images, masks and boxes."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.config.folders import Tiled
from tags2masks.data import images, tiled
from tags2masks.data.images import read_image
from tags2masks.data.readers import dataset_block
from tags2masks.errors import UserError
from tests.unit.test_readers import boxes_listed, indexed, listed

CLASSES = ["cat", "dog"]


@pytest.fixture(autouse=True)
def _limit(monkeypatch):
    monkeypatch.setattr(images.Image, "MAX_IMAGE_PIXELS", images.Image.MAX_IMAGE_PIXELS)


@pytest.fixture
def city(tmp_path):
    """A folder of images, 70 × 40 in `train`, 20 × 20 in `train`, 33 × 32 in `val`, with masks.

    Returns the free fields of the data set.
    """
    rng = np.random.default_rng(0)
    sizes = {"a/city": (40, 70), "small": (20, 20), "b": (32, 33)}
    for name, (height, width) in sizes.items():
        for folder in ("photos", "masks"):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
        mask = rng.integers(0, 3, (height, width)).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "tags.csv").write_text(
        "image,tags,split\na/city.png,cat;dog,train\nsmall.png,dog,train\nb.png,cat,val\n"
    )
    (tmp_path / "boxes.csv").write_text(
        "image,class,x1,y1,x2,y2\na/city.png,cat,20,4,29,13\na/city.png,dog,0,0,69,39\n"
        "small.png,dog,2,3,4,5\n"
    )
    return {
        name: str(tmp_path / path)
        for name, path in {"images": "photos", "tags": "tags.csv", "masks": "masks"}.items()
    }


def recipe(**more):
    spec = Tiled(images="", tags="", classes=CLASSES, tiles={"size": 32, "overlap": 8}, **more)
    return {"dataset": json.loads(json.dumps(spec.key())), "seed": 0}


TILES = [f"a/city@x{x:05}y{y:05}" for x in (0, 24, 38) for y in (0, 8)]


def test_tiles_are_parts_of_their_images_with_their_tags_and_split(city, tmp_path, monkeypatch):
    index, classes, truth = listed(monkeypatch, tmp_path, recipe(), tmp_path, tmp_path, **city)
    assert classes == CLASSES
    assert index["image"].tolist() == [*TILES, "small", "b@x00000y00000", "b@x00001y00000"]
    assert index["split"].tolist() == ["train"] * 7 + ["val"] * 2
    assert index["tags"].tolist() == [("cat", "dog")] * 6 + [("dog",)] + [("cat",)] * 2
    assert truth["image"].tolist() == index["image"].tolist()
    for row, mask in zip(index.itertuples(), truth["mask"], strict=True):
        name, _, place = row.image.partition("@")
        x, y = (int(place[1:6]), int(place[7:])) if place else (0, 0)
        part = slice(y, y + row.height), slice(x, x + row.width)
        assert row.height == row.width == (20 if name == "small" else 32)
        for folder, path in (("photos", row.path), ("masks", mask)):
            with Image.open(tmp_path / folder / f"{name}.png") as whole:
                np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / path)),
                                              np.asarray(whole)[part])  # fmt: skip


def test_a_tile_has_a_box_of_which_it_holds_a_quarter(city, tmp_path, monkeypatch):
    free = city | {"boxes": str(tmp_path / "boxes.csv")}
    indexed(monkeypatch, tmp_path, recipe(), tmp_path, splits=("train",), **free)
    boxes = boxes_listed(monkeypatch, tmp_path, recipe(), tmp_path, **free)
    cats = boxes[boxes["class"] == "cat"]
    # Columns 20 to 29 are whole in the tile of 0 to 31; six of ten are in that from 24; rows 4 to
    # 13, of which 8 to 13 are in the lower tiles.
    assert cats.drop(columns=["class", "difficult"]).values.tolist() == [
        [TILES[0], 20, 4, 29, 13],
        [TILES[1], 20, 0, 29, 5],
        [TILES[2], 0, 4, 5, 13],
        [TILES[3], 0, 0, 5, 5],
    ]
    dogs = boxes[boxes["class"] == "dog"]
    assert dogs["image"].tolist() == [*TILES, "small"]  # each tile has 37 % of it
    assert dogs.values.tolist()[0][2:] == [0, 0, 31, 31, False]
    assert dogs.values.tolist()[-1][2:] == [2, 3, 4, 5, False]


def test_options_for_reading_count_when_images_are_cut_and_not_again(city, tmp_path, monkeypatch):
    spec = recipe(bands=(2, 1, 0))
    index = indexed(monkeypatch, tmp_path, spec, tmp_path, splits=("train",), **city)
    assert "reading" not in index
    small = read_image(tmp_path / index["path"].iloc[-1])
    np.testing.assert_array_equal(small, read_image(tmp_path / "photos/small.png")[..., ::-1])


def test_images_beyond_pillows_limit_are_cut(city, tmp_path, monkeypatch):
    monkeypatch.setattr(images.Image, "MAX_IMAGE_PIXELS", 2000)
    index = indexed(monkeypatch, tmp_path, recipe(), tmp_path, splits=("train",), **city)
    assert len(index) == 7


def said(city, tmp_path, monkeypatch):
    """What is said of the training images, which write nothing then."""
    with pytest.raises(UserError) as caught:
        indexed(monkeypatch, tmp_path, recipe(), tmp_path, splits=("train",), **city)
    assert not (tmp_path / "images/train").exists() and not (tmp_path / "train.csv").exists()
    return str(caught.value)


def test_all_images_that_cannot_be_read_are_told_at_once(city, tmp_path, monkeypatch):
    (tmp_path / "photos/a/city.png").write_bytes(b"")
    (tmp_path / "photos/small.png").write_bytes(b"no image")
    lines = said(city, tmp_path, monkeypatch).splitlines()
    assert len(lines) == 2 and "a/city.png: empty file" in lines[0]
    assert "small.png: not an image of a format that is read" in lines[1]


def test_an_image_called_like_a_tile_is_refused(city, tmp_path, monkeypatch):
    (tmp_path / "photos/small.png").rename(tmp_path / "photos/a@x00000y00032.png")
    table = tmp_path / "tags.csv"
    table.write_text(table.read_text().replace("small", "a@x00000y00032"))
    assert said(city, tmp_path, monkeypatch) == (
        "image 'a@x00000y00032' has the name of a tile of another; rename it"
    )


def test_masks_are_checked_before_anything_is_trained(city, tmp_path, monkeypatch):
    mask = tmp_path / "masks/a/city.png"
    Image.fromarray(np.full((40, 70), 9, np.uint8)).save(mask)
    assert said(city, tmp_path, monkeypatch).startswith(f"{mask}: holds id 9, not among 0-2, 255")
    Image.fromarray(np.zeros((40, 71), np.uint8)).save(mask)
    assert said(city, tmp_path, monkeypatch).startswith(f"{mask}: 71 × 40 pixels, but its image ha")


def test_a_mask_that_shrank_since_is_told(city, tmp_path, monkeypatch):
    index = indexed(monkeypatch, tmp_path, recipe(), tmp_path, **city)
    Image.fromarray(np.zeros((20, 70), np.uint8)).save(tmp_path / "masks/a/city.png")
    spec = dataset_block(recipe()["dataset"], city)
    with pytest.raises(UserError, match=r"city\.png: smaller than its image, of which a tile be"):
        tiled.list_masks(spec, tmp_path, index)
    assert not (tmp_path / "truth").exists()


def test_tiles_are_in_the_key_and_their_places_are_not():
    spec = Tiled(images="a", tags="b", tiles={"size": 256})
    assert spec.key()["tiles"] == {"size": 256, "overlap": 64}
    assert not {"images", "tags"} & spec.key().keys()
    assert [name for name, _ in tiled.named_tiles("x", 256, 300, spec)] == [
        "x@x00000y00000", "x@x00044y00000",
    ]  # fmt: skip
    assert pd.Series([spec.image_root("own"), spec.truth_root("own")]).eq("own").all()
