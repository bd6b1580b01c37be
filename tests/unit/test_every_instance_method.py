"""Every method of instances from boxes: odd sizes, boxes of one pixel or of the image, none, 200.

Parametrised over METHODS: a new method is tested when it is registered. Those of masks are
in other tests: `full` in test_full_instances.py.
"""

import importlib
import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from tags2masks.config.instances import BoxMask
from tags2masks.config.methods import METHODS
from tags2masks.data.boxes import COLUMNS as BOXES
from tags2masks.data.boxes import write_boxes
from tags2masks.data.index import (
    COLUMNS,
    assign_shards,
    images_sha,
    rows_of,
    write_classes,
    write_index,
)
from tags2masks.errors import UserError
from tags2masks.instance_store import read_instances
from tags2masks.object_maps import ObjectMap, stored_objects
from tags2masks.stages import STAGES
from tags2masks.store import Shard, write_shard
from tags2masks.workflow.ids import artifact_id
from tests.unit.tiny import CLASSES, MADE, SIZES, every_option, small

BOXED = [name for name, of in METHODS["instances"].items() if "masks" not in of.learns_from]
OPTIONS = [option for option in every_option("instances") if option[0] in BOXED]
KINDS = ("none", "one pixel", "whole", "many")


def boxes_of(kind, size):
    """Boxes in an image of a size; 200 of them in the largest."""
    height, width = size
    if kind == "many":
        rng, count = np.random.default_rng(0), 200 if size == SIZES[-1] else 8
        across, down = (np.sort(rng.integers(side, size=(count, 2))) for side in (width, height))
        corners = np.stack([across[:, 0], down[:, 0], across[:, 1], down[:, 1]], axis=1)
        return [tuple(box) for box in corners.tolist()]
    whole = (0, 0, width - 1, height - 1)
    return {"none": [], "one pixel": [(width - 1, 0, width - 1, 0)], "whole": [whole] * 2}[kind]


@pytest.fixture
def data(tmp_path):
    """An image of each size and each kind of boxes, with a map of each box, some of them empty."""
    rng, rows, boxes, maps = np.random.default_rng(0), [], [], []
    for size in SIZES:
        for kind in KINDS:
            name = f"{kind} {size[0]}"
            pixels = rng.integers(256, size=(*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{name}.png")
            rows.append((name, f"{name}.png", "train", tuple(CLASSES), *size, name))
            boxes += [
                (name, CLASSES[at % 3], *corners, at % 2 == 1)
                for at, corners in enumerate(boxes_of(kind, size))
            ]
            objects = [
                ObjectMap(
                    1 + at % 3, corners, at % 2 == 1, at % 4, (at % 4 > 0) * rng.random((2, 3))
                )
                for at, corners in enumerate(boxes_of(kind, size))
            ]
            attributes, further = stored_objects(objects, (max(1, size[0] // 2), size[1]))
            maps.append((name, np.zeros((0, 1, 1), np.float16), attributes, further))
    index = assign_shards(pd.DataFrame(rows, columns=COLUMNS[:-1]), 1)
    write_index(tmp_path / "train.csv", index)
    write_classes(tmp_path / "classes.txt", CLASSES)
    write_boxes(tmp_path / "boxes.csv", pd.DataFrame(boxes, columns=list(BOXES)))
    sha = images_sha(rows_of(index, "train"))
    write_shard(tmp_path / "maps.zarr.zip", {"id": MADE}, sha, maps)
    return tmp_path, index


def made(data, monkeypatch, spec, output="0.zarr.zip"):
    """The instances by image, as the program stores them; and the shard's bytes."""
    folder, index = data
    takes = dict.fromkeys(spec.takes or (), MADE)
    recipe = {"stage": "instances", "method": spec.method, "spec": spec.key(), "upstream": takes}
    values = {
        "recipe": json.dumps(recipe), "root": folder, "index": folder / "train.csv", "threads": 1,
        "classes": folder / "classes.txt", "split": "train", "shard": 0, "output": folder / output,
    }  # fmt: skip
    values |= {name: folder / f"{name}.csv" for name in spec.learns_from}
    values |= {name: folder / f"{name}.zarr.zip" for name in takes} | spec.folders()
    words = [str(word) for name, value in values.items() for word in (f"--{name}", value)]
    program = spec.program or STAGES["instances"].program
    monkeypatch.setattr(sys, "argv", [program, *words])
    importlib.import_module(f"workflow_scripts.{program}").main()
    sha = images_sha(rows_of(index, "train"))
    with Shard(folder / output, artifact_id(recipe), sha) as shard:
        found = {image: read_instances(shard, image) for image in index["image"]}
    return found, (folder / output).read_bytes()


def check(data, monkeypatch, spec):
    found, first = made(data, monkeypatch, spec)
    assert made(data, monkeypatch, spec, "again.zarr.zip")[1] == first
    for size in SIZES:
        for kind in KINDS:
            boxes = boxes_of(kind, size)
            kept = [at for at in range(len(boxes)) if spec.difficult == "keep" or at % 2 == 0]
            instances = found[f"{kind} {size[0]}"]
            assert [each.class_id for each in instances] == [1 + at % 3 for at in kept]
            for each, at in zip(instances, kept, strict=True):
                x1, y1, x2, y2 = boxes[at]
                assert each.box == boxes[at] and each.score == 1 and each.mask.shape == size
                inside = np.zeros(size, bool)
                inside[y1 : y2 + 1, x1 : x2 + 1] = True
                assert each.mask.any() and not each.possible[~inside].any()
                assert not (each.mask & ~each.possible).any()


@pytest.mark.parametrize("method", BOXED)
def test_instances_of_any_box(data, monkeypatch, method):
    check(data, monkeypatch, small(METHODS["instances"][method]))


@pytest.mark.parametrize(("method", "field", "value"), OPTIONS)
def test_instances_by_every_option(data, monkeypatch, method, field, value):
    check(data, monkeypatch, small(METHODS["instances"][method], **{field: value}))


FROM_BOXES = [name for name, of in METHODS["instances"].items() if "boxes" in of.learns_from]


@pytest.mark.parametrize("method", FROM_BOXES)
def test_a_box_of_an_unknown_class_is_told(data, monkeypatch, method):
    folder, _ = data
    row = ("none 1", "unicorn", 0, 0, 0, 0, False)
    write_boxes(folder / "boxes.csv", pd.DataFrame([row], columns=list(BOXES)))
    said = r"boxes\.csv: unknown class 'unicorn', not among cat, dog, cow; delete it and run again"
    with pytest.raises(UserError, match=said):
        made(data, monkeypatch, small(METHODS["instances"][method]))


def test_masks_refined_by_proposals(data, monkeypatch):
    folder, index = data
    spec = small(BoxMask, superpixels=(10, 100), least_area=4)
    check(data, monkeypatch, spec)
    given = small(BoxMask, proposals=str(folder), least_area=4)
    said = r"many 1\.mat: no such file of proposals; 12 of 12 images have none: give each one, or"
    with pytest.raises(UserError, match=said):
        made(data, monkeypatch, given)
    for name, height, width in zip(index["image"], index["height"], index["width"], strict=True):
        numbers = 1 + np.arange(height * width).reshape(height, width) // 64
        cells = np.empty((1, 1), object)
        cells[0, 0] = np.array([[1]])  # the first 64 pixels are the only proposal
        savemat(folder / f"{name}.mat", {"superpixels": numbers, "labels": cells})
    for each in made(data, monkeypatch, given)[0]["whole 64"]:
        assert each.possible_code is None
        np.testing.assert_array_equal(each.mask, np.arange(64 * 64).reshape(64, 64) < 64)


def test_boxes_that_the_detector_does_not_find_are_counted(data, monkeypatch, capfd):
    made(data, monkeypatch, small(BoxMask))
    said = capfd.readouterr().err.splitlines()
    # Every fourth box of an image: 1 of 1 and of 2, 2 of 8, 50 of 200; 3 + 3 + 2 · 2 + 50.
    assert [line for line in said if line.startswith("note:")] == [
        "note: 60 of 225 boxes have an empty map, mostly because the detector found them from no "
        "proposal; their masks are of filled boxes and the CRF alone"
    ]
