"""Maps of classes that an image is not tagged with: which images, and what the maps are."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from tags2masks.analyses.untagged import further_tagged
from tags2masks.config.analyses import Untagged
from tags2masks.config.base import ConfigError
from tags2masks.data.index import build_index, images_sha, read_index, write_index
from tags2masks.errors import UserError
from tags2masks.methods import method_block
from tags2masks.nets.checkpoint import read_spec
from tags2masks.nets.trained import load_trained
from tags2masks.store import Shard
from tags2masks.workflow.ids import artifact_id
from tags2masks.workflow.plan import Plan
from tests.unit.test_climbs import RAW
from tests.unit.test_localize import trained
from workflow_scripts import localize_untagged

CLASSES = ["bus", "car", "train"]
TRAIN = pd.DataFrame(
    {
        "image": ["a", "b", "c", "d", "e"],
        "tags": [("bus",), ("bus", "car"), ("train",), (), ("bus", "train")],
    }
)
_ = trained  # the fixture


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"tagged": "bus"}, {"a": ("bus", "car"), "e": ("bus", "train", "car")}),
        ({"images": 1}, {"c": ("train", "car")}),  # the middle one of a, c and e
        ({"images": ("b", "d")}, {"b": ("bus", "car"), "d": ("car",)}),
    ],
)
def test_images_get_the_further_classes(spec, expected):
    rows = further_tagged(TRAIN, CLASSES, Untagged(classes=("car",), **spec))
    assert dict(zip(rows["image"], rows["tags"], strict=True)) == expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"classes": ("cat",)}, "evaluation.untagged.classes: no class 'cat'; did you mean 'car'?"),
        ({"tagged": "van"}, "evaluation.untagged.tagged: no class 'van'; choose from bus, car"),
        ({"images": ("z",)}, "evaluation.untagged.images: no training image 'z'; write names of"),
        (
            {"classes": ("bus", "car"), "tagged": "bus"},
            "evaluation.untagged: no training image with the tag 'bus' and without bus, car",
        ),
    ],
)
def test_what_cannot_be_chosen_is_told(spec, message):
    with pytest.raises(UserError) as error:
        further_tagged(TRAIN, CLASSES, Untagged(**{"classes": ("car",)} | spec))
    assert str(error.value).startswith(message)


def test_a_tag_and_names_do_not_go_together():
    untagged = {"classes": ["car"], "tagged": "bus", "images": ["a"]}
    with pytest.raises(ConfigError, match=r"evaluation\.untagged: tagged: the images are named"):
        Plan(RAW | {"evaluation": {"untagged": untagged}})


def test_each_map_of_a_classifier_gets_a_file():
    mean = {"method": "mean", "of": ["vanilla/cam", "vanilla/rib"]}
    raw = RAW | {
        "maps": RAW["maps"] | {"mean": mean},
        "experiments": ["digits / vanilla / {cam,rib,mean}"],
        "evaluation": {"untagged": {"classes": ["one"]}},
    }
    folders = [a.folder for a in Plan(raw).of_stage("maps") if a.method in ("cam", "rib")]
    assert Plan(raw).analyses() == [f"{folder}/untagged.zarr.zip" for folder in folders]


def test_the_map_of_an_untagged_class_is_by_its_own_weights(trained, tmp_path, monkeypatch):
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(1)
    for name in ("x", "y"):
        Image.fromarray(rng.integers(0, 256, (16, 24, 3), np.uint8)).save(images / f"{name}.png")
    tags = [("one",), ("two",)]
    listing = {"image": ["x", "y"], "path": ["x.png", "y.png"], "split": "train", "tags": tags}
    write_index(
        tmp_path / "index.csv", build_index(pd.DataFrame(listing), images, ["one", "two"], 1, 1)
    )
    upstream = {"classifier": artifact_id(read_spec(trained / "spec.json")["recipe"])}
    spec = {"scales": [1.0], "flip": False, "stride": 8}
    block = method_block("maps", {"method": "cam", "spec": spec})
    recipe = {"stage": "maps", "method": "cam", "seed": 0, "spec": block.key()}
    recipe["upstream"] = upstream
    arguments = {
        "recipe": json.dumps(recipe), "root": images, "index": tmp_path / "index.csv",
        "analysis": json.dumps({"classes": ["two"], "tagged": None, "images": 4}),
        "model": trained / "model.safetensors", "spec": trained / "spec.json",
        "output": tmp_path / "untagged.zarr.zip", "threads": 1,
    }  # fmt: skip
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["localize_untagged", *words])
    localize_untagged.main()

    rows = read_index(tmp_path / "index.csv")
    sha = images_sha(rows)
    with Shard(tmp_path / "untagged.zarr.zip", artifact_id(recipe), sha) as shard:
        assert shard.partial and shard.n == 1 and not shard.holds("y")
        maps, attributes = shard.read("x")
    assert attributes["classes"] == ["one", "two"]
    network, _ = load_trained(
        "classifier", trained / "model.safetensors", trained / "spec.json", upstream
    )
    pixels = torch.from_numpy(np.array(Image.open(images / "x.png"))).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        scores = F.conv2d(network.features(pixels), network.head.weight)[0].relu()
    expected = scores / (scores.amax((1, 2), keepdim=True) + 1e-5)
    assert maps.shape == expected.shape == (2, 2, 3)
    np.testing.assert_allclose(maps, expected.numpy(), atol=1e-3)
    assert expected[1].max() > 0.9
