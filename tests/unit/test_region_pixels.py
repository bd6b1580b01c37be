"""An object's pixels in the regions of high and low scores: by hand, the program, the pictures."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.config.base import ConfigError
from tags2masks.config.folders import Folder
from tags2masks.data.index import build_index, files_of, images_sha, write_classes, write_index
from tags2masks.data.truth import write_truth
from tags2masks.metrics.region_pixels import distances, largest, region_numbers, shares
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.region_pictures import COLOURS, SAID, region_pictures
from tags2masks.report.stored import Dataset
from tags2masks.store import write_shard
from tags2masks.workflow.plan import Plan
from tests.unit.read_page import Page, decoded
from workflow_scripts import measure_regions

CAM = np.array([[0.9, 0.25, 0.1, 0.2, 1.0]], np.float32)
MAP = np.array([[0.15, 0.1, 0.5, 0.14, 1.0]], np.float32)
OF_CLASS = np.array([[1, 1, 1, 1, 0]], np.float32)


def test_regions_by_hand():
    found = distances(CAM, MAP, OF_CLASS)
    assert found[:, 0, 0].tolist() == pytest.approx([0.65, 0])
    assert np.isnan(found[:, 0, 4]).all()
    # HSR-DR at both thresholds' or above, LSR-DR, HSR-NDR, LSR-NDR, and outside.
    assert region_numbers(found).tolist() == [[1, 2, 3, 4, 0]]
    assert shares(found) == [0.25] * 4
    assert shares(distances(CAM, CAM, OF_CLASS)) == [0.5, 0, 0.25, 0.25]


def test_the_class_of_the_most_pixels():
    truth = np.array([[1, 2, 2, 255, 255, 255]], np.uint8)
    assert largest(truth, [1, 2, 3]) == 2 and largest(truth, [3, 1]) == 1
    assert largest(truth, [3]) is None and largest(truth, []) is None


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Two images of 5 × 1 pixels: a shows a cat, of which the mask of b has none."""
    (tmp_path / "masks").mkdir()
    for name, ids in (("a", [1, 1, 1, 1, 0]), ("b", [0] * 5)):
        Image.new("RGB", (5, 1)).save(tmp_path / f"{name}.png")
        Image.fromarray(np.array([ids], np.uint8)).save(tmp_path / f"masks/{name}.png")
    about = {"image": ["a", "b"], "path": ["a.png", "b.png"], "split": "train"}
    listing = pd.DataFrame(about | {"tags": [("cat",), ("cat",)]})
    index = build_index(listing, tmp_path, ["cat"], 1, 1)
    write_index(tmp_path / "index.csv", index)
    write_classes(tmp_path / "classes.txt", ["cat"])
    masks = {"image": ["a", "b"], "mask": ["masks/a.png", "masks/b.png"], "instances": ""}
    write_truth(tmp_path / "truth.csv", pd.DataFrame(masks))
    of_both = {"classes": ["cat"], "size": [1, 5]}
    for id, scores in (("saliency-1", MAP), ("cam-1", CAM)):
        entries = [(name, scores[None], of_both) for name in ("a", "b")]
        write_shard(tmp_path / f"{id}.zip", {"id": id}, images_sha(index), entries)
    dataset = Folder(images="", tags="", masks="", classes=("cat",))
    options = {
        "recipe": json.dumps({"dataset": dataset.key(), "seed": 0}), "id": "saliency-1",
        "split": "train", "root": tmp_path, "threads": 1, "index": tmp_path / "index.csv",
        "classes": tmp_path / "classes.txt", "truth": tmp_path / "truth.csv",
        "shards": tmp_path / "saliency-1.zip", "cam": "cam-1", "cams": tmp_path / "cam-1.zip",
        "analysis": json.dumps({"maps": ["saliency"], "images": 5}),
        "metrics": tmp_path / "regions.csv", "maps": tmp_path / "regions.zarr.zip",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["measure_regions", *words])
    measure_regions.main()
    files = dict(zip(index["image"], files_of(index, tmp_path), strict=True))
    return tmp_path, Dataset("d", ["cat"], index, index, files, {}, None)


def test_the_program_writes_shares_of_images_that_show_their_class(made):
    folder, _ = made
    table = pd.read_csv(folder / "regions.csv")
    assert table.to_numpy().tolist() == [["a", "cat", 4, 0.25, 0.25, 0.25, 0.25]]


def test_pictures_have_the_regions_colours_and_a_point_for_each_pixel(made):
    folder, dataset = made
    artifact = ShownArtifact("maps", "saliency-1", "v/saliency", 0, [], folder)
    shown = region_pictures("k", artifact, dataset)
    (image,) = shown.images
    assert [tile.title for tile in image.rows[0]] == ["image", "CAM", "map", "regions"]
    said = ", ".join(f"{name}\xa025.0\xa0%" for name in SAID)
    names = [name.replace("\u2011", "-") for name in SAID]
    assert names == ["HSR-DR", "LSR-DR", "HSR-NDR", "LSR-NDR"]
    assert image.rows[0][3].note == said and image.alt.endswith(f"both thresholds. {said}")
    painted = decoded(image.rows[0][3].picture, folder)[0]
    expected = [[round(0.7 * int(c[at : at + 2], 16)) for at in (1, 3, 5)] for c in COLOURS]
    assert painted.tolist() == [*expected, [0, 0, 0]]
    assert [colour for _, colour in shown.legend] == list(COLOURS)
    Page(image.svg)
    assert all(image.svg.count(f"fill: {colour}") >= 1 for colour in COLOURS)


RAW = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}, "saliency": {"method": "saliency"}},
    "experiments": ["digits / vanilla / {cam,saliency}"],
}


def asking(maps, **more):
    return Plan(RAW | {"evaluation": {"region_pictures": {"maps": maps}} | more})


def test_what_is_asked_for():
    plan = asking(["saliency"])
    (saliency,) = [a for a in plan.of_stage("maps") if a.method == "saliency"]
    assert plan.analyses() == [f"{saliency.folder}/regions.{end}" for end in ("csv", "zarr.zip")]
    for maps, more, told in [
        (["salience"], {}, "no experiment goes through maps.salience; did you mean 'saliency'?"),
        (["cam"], {}, "cam is the CAM that maps stand beside; take other maps"),
        (["saliency"], {"regions": False}, "saliency has no CAM beside it; it needs pixel masks"),
    ]:
        with pytest.raises(ConfigError) as error:
            asking(maps, **more).analyses()
        assert f"evaluation.region_pictures.maps: {told}" in str(error.value)
