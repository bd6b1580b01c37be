"""Maps of objects against masks, by hand and against the plain way; maps from a folder."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.config.base import ConfigError
from tags2masks.config.object_masks import ObjectCrf
from tags2masks.config.objectness import Given
from tags2masks.errors import UserError
from tags2masks.metrics.curve import thresholds
from tags2masks.metrics.objects import object_counts, object_rows
from tags2masks.metrics.quality import Chunk
from tags2masks.object_masks.crf import make_mask
from tags2masks.objectness.given import read_maps
from tags2masks.palette import write_palette_png
from tags2masks.store import write_shard
from tags2masks.workflow.catalog import Catalog

TABLE = np.arange(256, dtype=np.uint8)
CLASSES = ["cat", "dog"]


def chunk_of(folder, arrays, truths):
    """A chunk of images with these arrays and true masks."""
    names = [f"image {number}" for number in range(len(arrays))]
    entries = [
        (name, array, {"size": list(truth.shape)})
        for name, array, truth in zip(names, arrays, truths, strict=True)
    ]
    write_shard(folder / "0.zarr.zip", {"id": "made-00000000"}, "sha", entries)
    files = []
    for name, truth in zip(names, truths, strict=True):
        write_palette_png(folder / f"{name}.png", truth)
        files.append((name, str(folder / f"{name}.png"), truth.shape))
    return Chunk(str(folder / "0.zarr.zip"), "made-00000000", "sha", files)


def value(rows, metric, name, tuned=False):
    found = rows[(rows["metric"] == metric) & (rows["class"] == name)]
    (number,) = found.loc[found["tuned_on_masks"] == tuned, "value"].unique()
    return number


def test_objects_by_hand(tmp_path):
    # Half of a cat is salient, and nothing else: a ten-pixel row of background and four of cat.
    truth = np.array([[0] * 10 + [1] * 4 + [255]], np.uint8)
    mask = np.array([[0] * 10 + [1, 1, 0, 0] + [1]], np.uint8)
    limits = np.array([0.5], np.float32)
    counts = object_counts(chunk_of(tmp_path, [mask], [truth]), TABLE, CLASSES, limits)
    rows, curve = object_rows(counts, limits, 0.5, CLASSES, 1)
    assert value(rows, "iou", "object") == 0.5 and value(rows, "precision", "object") == 1
    assert value(rows, "recall", "object") == 0.5
    # True masks as prior: the class has 2 of its 4 pixels, the background its 10 of 10 + 2.
    assert value(rows, "prior_iou", "cat", True) == 0.5
    assert value(rows, "prior_iou", "background", True) == pytest.approx(10 / 12)
    assert value(rows, "prior_iou", "mean", True) == pytest.approx((0.5 + 10 / 12) / 2)
    assert "dog" not in set(rows["class"])
    assert curve.values.tolist() == [
        [0.5, "background", 10 / 12],
        [0.5, "object", 0.5],
        [0.5, "mean", pytest.approx((0.5 + 10 / 12) / 2)],
    ]


def test_the_prior_shares_what_is_wrong_by_hand(tmp_path):
    # A cat alone, both, and nothing: four, four and two wrong pixels.
    truths = [[0] * 4 + [1] * 2, [0] * 4 + [1, 2], [0] * 6]
    masks = [[1] * 6, [1] * 6, [1, 1, 0, 0, 0, 0]]
    arrays = [[np.array([row], np.uint8) for row in rows] for rows in (masks, truths)]
    limits = np.array([0.5], np.float32)
    counts = object_counts(chunk_of(tmp_path, *arrays), TABLE, CLASSES, limits)
    rows, _ = object_rows(counts, limits, 0.5, CLASSES, 3)
    # The cat has its 3 pixels, and 4 + 2 wrong ones; the dog its 1, and 2; the background 4 of 14.
    assert value(rows, "prior_iou", "cat", True) == pytest.approx(3 / 9)
    assert value(rows, "prior_iou", "dog", True) == pytest.approx(1 / 3)
    assert value(rows, "prior_iou", "background", True) == pytest.approx(4 / 14)


def test_every_threshold_is_as_masks_made_at_it(tmp_path):
    rng = np.random.default_rng(0)
    truths = [rng.choice(np.array([0, 0, 1, 2, 255], np.uint8), (9, 13)) for _ in range(3)]
    maps = [rng.random((1, 9, 13)).astype(np.float16) for _ in range(3)]
    limits = thresholds(10, 0.33)
    counts = object_counts(chunk_of(tmp_path, maps, truths), TABLE, CLASSES, limits)
    rows, curve = object_rows(counts, limits, 0.33, CLASSES, 3)
    scores, truth = np.concatenate(maps).ravel().astype(np.float32), np.concatenate(truths).ravel()
    known = truth != 255
    for limit in limits:
        salient, objects = (scores > limit)[known], (truth > 0)[known]
        iou = (salient & objects).sum() / (salient | objects).sum()
        mine = curve[(curve["threshold"] == float(str(limit))) & (curve["class"] == "object")]
        assert mine["iou"].item() == pytest.approx(iou)
    # Every image has both classes: half of the salient background is wrong for each.
    own = rows[(rows["metric"] == "prior_iou") & (rows["threshold"] == 0.33)]
    salient = scores > np.float32(0.33)
    for number, name in enumerate(CLASSES, start=1):
        right, wrong = (salient & (truth == number)).sum(), (salient & (truth == 0)).sum() / 2
        expected = right / ((truth == number).sum() + wrong)
        assert own.loc[own["class"] == name, "value"].item() == pytest.approx(expected)
    assert rows.loc[rows["metric"] == "prior_iou", "tuned_on_masks"].all()
    assert set(rows["split"]) == {"train"} and set(rows["images"]) == {3}


ROWS = pd.DataFrame({"image": ["a", "b"], "height": [4, 2], "width": [8, 2]})


def written(folder, **pictures):
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")
    return folder


def grey(height, width, value=255):
    return Image.fromarray(np.full((height, width), value, np.uint8))


def test_a_folder_of_maps(tmp_path):
    halves = np.zeros((4, 8), np.uint8)
    halves[:, 4:] = 255
    folder = written(tmp_path, a=Image.fromarray(halves), b=grey(2, 2, 51))
    (_, first, about), (_, second, _) = read_maps(ROWS, folder, Given(folder="x", stride=4))
    assert first.tolist() == [[[0, 1]]] and about == {"size": [4, 8]}
    assert second.tolist() == [[[np.float16(0.2)]]] and second.dtype == np.float16


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ({"a": grey(4, 8)}, r"b\.png: no such saliency map; 1 of 2 images have none: give each"),
        ({"a": grey(4, 9), "b": grey(2, 2)}, r"a\.png: 9 × 4 pixels, but its image has 8 × 4"),
        (
            {"a": grey(4, 8).convert("RGB"), "b": grey(2, 2)},
            r"a\.png: has mode RGB, but",
        ),
    ],
)
def test_maps_that_do_not_fit_are_told(tmp_path, pictures, message):
    with pytest.raises(UserError, match=message):
        list(read_maps(ROWS, written(tmp_path, **pictures), Given(folder="x")))


def test_a_damaged_map_is_told(tmp_path):
    written(tmp_path, a=grey(4, 8), b=grey(2, 2))
    file = tmp_path / "a.png"
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.index(b"IDAT") + 6])
    with pytest.raises(UserError, match=r"a\.png: damaged or truncated image"):
        list(read_maps(ROWS, tmp_path, Given(folder="x")))


# Pillow takes it for a grey image of 8 × 4 pixels, and would start Ghostscript to load it.
POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 4
%%EndComments
%
%ImageData: 8 4 8 1 0 1 1 "image"
showpage
%%EOF
"""


def test_no_program_is_started_for_a_map(tmp_path, monkeypatch):
    written(tmp_path, b=grey(2, 2))
    file = tmp_path / "a.png"
    file.write_bytes(POSTSCRIPT)
    with Image.open(file) as picture:
        assert (picture.format, picture.mode, picture.size) == ("EPS", "L", (8, 4))
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_: pytest.fail("started"))
    with pytest.raises(UserError, match=r"a\.png: not an image of a format that is read"):
        list(read_maps(ROWS, tmp_path, Given(folder="x")))


def test_a_map_of_too_many_pixels_is_told(tmp_path, monkeypatch):
    written(tmp_path, a=grey(4, 8), b=grey(2, 2))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UserError, match=r"a\.png: more than 10 pixels; make it smaller"):
        list(read_maps(ROWS, tmp_path, Given(folder="x")))


def test_supervision_of_a_folder_of_maps():
    assert Given(folder="x").learns_from == ("saliency",)
    assert Given(folder="x", label_free=True).learns_from == ()
    assert Given(folder="some/where/duts").key()["folder"] == "duts"


def test_masks_of_objects_by_hand():
    # A CRF without pairwise terms leaves what is above the score.
    still = {"gaussian": {"compat": 0}, "bilateral": {"compat": 0}, "iterations": 1}
    maps = np.array([[[0.1, 0.3, 0.31, 0.9]]], np.float16)
    spec = ObjectCrf(score=0.3, **still)
    assert make_mask(np.zeros((1, 4, 3), np.uint8), maps, spec).tolist() == [[0, 1, 1, 1]]
    spec = ObjectCrf(score=0.5, **still)
    assert make_mask(np.zeros((1, 4, 3), np.uint8), maps, spec).tolist() == [[0, 0, 0, 1]]


def test_a_folder_of_maps_that_is_absent_is_told_before_anything_runs(tmp_path):
    config = {
        "datasets": {"digits": {"kind": "digits"}},
        "objectness": {"detector": {"method": "given", "folder": str(tmp_path)}},
        "experiments": ["digits / detector"],
    }
    Catalog(config)
    for folder, message in ((tmp_path / "absent", "is no folder"), ("{a}", "has braces in it")):
        config["objectness"]["detector"]["folder"] = str(folder)
        with pytest.raises(ConfigError, match=f"objectness given-.*: folder: .*{message}"):
            Catalog(config)
