"""The localizing program with methods that need more than a batch, and steps in its shards."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tags2masks.config.classifiers import Vanilla
from tags2masks.config.training import Backbone
from tags2masks.data import training_images
from tags2masks.data.index import (
    COLUMNS,
    build_index,
    images_sha,
    read_index,
    rows_of,
    spaced,
    write_index,
)
from tags2masks.errors import UserError
from tags2masks.maps import localizing
from tags2masks.methods import method_block
from tags2masks.nets.checkpoint import read_spec, save_model
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.trained import load_trained
from tags2masks.provenance import provenance, write_record
from tags2masks.store import Shard
from tags2masks.workflow.ids import artifact_id
from workflow_scripts import localize

CLASSES = ["one", "two"]
RIB = {
    "method": "rib",
    "scales": [1.0, 0.5],
    "steps": 2,
    "companions": 2,
    "augment": {"resize": [16, 20], "crop": 16},
    "keep_steps": True,
    "lr": 0.01,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with six images in two shards, their index, and a classifier with random weights."""
    folder = tmp_path_factory.mktemp("localize")
    rng = np.random.default_rng(0)
    names = [f"image {number}" for number in range(6)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (18, 21, 3), dtype=np.uint8)).save(
            folder / f"{name}.png"
        )
    tags = [("one",), ("two",), ("one", "two"), ("one",), ("two",), ()]
    paths = [f"{name}.png" for name in names]
    listing = pd.DataFrame({"image": names, "path": paths, "split": "train", "tags": tags})
    index = build_index(listing, folder, CLASSES, 2, 1)
    assert tuple(index.columns) == (*COLUMNS, "opacity")
    write_index(folder / "index.csv", index)
    spec = Vanilla(backbone=Backbone(name="test_resnet", output_stride=8))
    torch.manual_seed(3)
    save_model(Classifier(spec.backbone, 2), folder / "model.safetensors")
    recipe = {"stage": "classifier", "method": "vanilla", "spec": spec.key(), "upstream": {}}
    write_record(folder / "spec.json", provenance(recipe) | {"classes": CLASSES})
    return folder


def localized(folder, monkeypatch, spec, shard, output, **free):
    """Run the program in this process; what it wrote, by image: (maps, steps)."""
    upstream = {"classifier": artifact_id(read_spec(folder / "spec.json")["recipe"])}
    recipe = {"stage": "maps", "method": spec["method"], "seed": 4, "upstream": upstream}
    block = method_block("maps", {"method": spec["method"], "spec": spec})
    recipe["spec"] = block.key()
    arguments = {
        "recipe": json.dumps(recipe), "free": json.dumps(free), "root": folder, "shard": shard,
        "split": "train", "index": folder / "index.csv", "model": folder / "model.safetensors",
        "spec": folder / "spec.json", "output": folder / output, "threads": 1,
    }  # fmt: skip
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["localize", *words])
    localize.main()
    index = read_index(folder / "index.csv")
    rows = rows_of(index, "train", shard)
    found = {}
    with Shard(folder / output, artifact_id(recipe), images_sha(rows)) as stored:
        assert len(rows) == 3
        chosen = spaced(rows_of(index, "train")["image"].tolist(), spec.get("images"))
        there = [image for image in rows["image"] if image in chosen]
        assert stored.n == len(there)
        for image in there:
            maps, attributes = stored.read(image)
            assert attributes["classes"] == list(rows.set_index("image").loc[image, "tags"])
            found[image] = (
                maps,
                (stored.read_further("steps", image) if spec.get("keep_steps") else None),
            )
    return found


def test_rib_looks_at_the_images_of_all_shards(trained, monkeypatch):
    rows = []
    real = training_images.TrainingImages

    def watched(frame, *rest):
        rows.append(len(frame))
        return real(frame, *rest)

    monkeypatch.setattr(training_images, "TrainingImages", watched)
    found = localized(trained, monkeypatch, RIB, 0, "rib.zip")
    assert rows == [6]
    for image, (maps, steps) in found.items():
        tags = 2 if image == "image 2" else 1
        assert maps.shape == (tags, 5, 6) and maps.dtype == np.float16
        assert steps.shape == (tags, 3, 5, 6) and steps.dtype == np.float16
        assert not np.array_equal(steps[:, 0], steps[:, 2])
    together = localized(trained, monkeypatch, RIB, 0, "more.zip", batch_size=3)
    for image, (maps, _) in together.items():
        np.testing.assert_array_equal(maps, found[image][0])


def test_advcam_keeps_steps_and_untagged_images_have_no_map(trained, monkeypatch):
    spec = {"method": "advcam", "scales": [1.0], "steps": 2, "keep_steps": True}
    found = localized(trained, monkeypatch, spec, 1, "advcam.zip")
    assert [part.shape for part in found["image 3"]] == [(1, 5, 6), (1, 3, 5, 6)]
    assert [part.shape for part in found["image 5"]] == [(0, 5, 6), (0, 3, 5, 6)]
    rows = rows_of(read_index(trained / "index.csv"), "train", 1)
    recipe = json.loads(sys.argv[sys.argv.index("--recipe") + 1])
    with Shard(trained / "advcam.zip", artifact_id(recipe), images_sha(rows)) as stored:
        masks = stored.read_further("restricted", "image 3")
        assert masks.shape == (1, 2, 5, 6) and 0 < masks.mean() < 1


def test_methods_that_need_a_batch_alone_are_given_no_more(trained, monkeypatch):
    monkeypatch.setattr(localizing, "HELPERS", {})
    found = localized(trained, monkeypatch, {"method": "cam", "scales": [1.0]}, 0, "cam.zip")
    assert found["image 0"][0].shape == (1, 5, 6)


def test_some_images_are_spaced_over_all_shards(trained, monkeypatch):
    spec = {"method": "cam", "scales": [1.0]}
    whole = {}
    for shard in (0, 1):
        whole |= localized(trained, monkeypatch, spec, shard, f"all-{shard}.zip")
    some = {}
    for shard in (0, 1):
        found = localized(trained, monkeypatch, spec | {"images": 3}, shard, f"some-{shard}.zip")
        some |= found
    assert list(some) == ["image 1", "image 3", "image 5"]
    for image, (maps, _) in some.items():
        assert (maps == whole[image][0]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"stage": "segmenter", "method": "deeplabv3plus"},
            r"spec.json: of a segmenter \(deeplabv3plus\), but a classifier is needed; give the "
            "files of vanilla-",
        ),
        ({"seed": 9}, r"spec.json: of vanilla-\w{8}, expected vanilla-\w{8}; it was made from"),
    ],
)
def test_the_files_of_another_network(trained, monkeypatch, tmp_path, change, message):
    made = read_spec(trained / "spec.json")
    write_record(tmp_path / "spec.json", made | {"recipe": made["recipe"] | change})
    upstream = {"classifier": artifact_id(made["recipe"])}
    with pytest.raises(UserError, match=message):
        load_trained("classifier", trained / "model.safetensors", tmp_path / "spec.json", upstream)
