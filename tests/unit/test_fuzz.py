"""Files with one bit flipped, read as the programs read them.

What the workflow wrote itself (shards, weights, checkpoints, tables, spec.json) comes back as it
was, or ends in a UserError of one line that names the file. Images and masks that people give have
no checksum: one with a changed pixel that decodes is a picture, so of them nothing is asked but
that it is one of the right size, or such an error. Nothing is asked of tables for people
(`results/*.csv`, `curve.csv`, `images.csv`, `training.csv`): a changed digit there is not noticed.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from tags2masks.checkpoints import State, read_state, save, state_file
from tags2masks.data.boxes import COLUMNS as BOXES
from tags2masks.data.boxes import read_boxes, write_boxes
from tags2masks.data.images import read_image
from tags2masks.data.index import COLUMNS, read_classes, read_index, write_classes, write_index
from tags2masks.data.labelled import read_labelled, write_labelled
from tags2masks.data.tables import read_checked, write_table
from tags2masks.data.truth import plain_table, read_mask, read_truth, write_truth
from tags2masks.errors import UserError
from tags2masks.nets.checkpoint import load_model, read_spec, save_model
from tags2masks.prototypes.store import ClassPrototypes, Patch, read_prototypes, write_prototypes
from tags2masks.provenance import provenance, read_provenance, write_record
from tags2masks.score_file import read_score
from tags2masks.store import Shard, write_shard

SEED = int(os.environ.get("FUZZ_SEED", "0"))
FLIPS = int(os.environ.get("FUZZ_FLIPS", "2000"))
NAMES = ["a", "pets/cat 1", "été"]
RECIPE = {"stage": "maps", "method": "cam", "spec": {"scales": [1.0, 0.5]}, "upstream": {}}


class Kind(NamedTuple):
    """A file and how it is read. exact: any change of what is read counts."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    exact: bool = True


def network():
    """A small network with normalization: float and integer tensors."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def write_maps(path):
    rng = np.random.default_rng(0)
    maps = [(n, rng.random((2, 3, 5)).astype(np.float16), {"classes": ["x", "y"]}) for n in NAMES]
    write_shard(path, provenance(RECIPE) | {"id": "cam-0"}, "sha", maps)


def write_masks(path):
    masks = [(n, np.arange(15, dtype=np.uint8).reshape(3, 5), {"size": [3, 5]}) for n in NAMES]
    further = [(*mask, {"instances": np.ones((3, 5), np.uint16)}) for mask in masks]
    write_shard(path, {"id": "cam-0", "partial": True}, "sha", further)


def read_shard(path):
    with Shard(path, "cam-0", "sha") as shard:
        return shard.n, shard.partial, list(shard.read_all(NAMES))


def read_instances(path):
    with Shard(path, "cam-0", "sha") as shard:
        return shard.partial, [(shard.holds(n), shard.read_further("instances", n)) for n in NAMES]


def prototypes(path):
    vectors = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    patches = [[Patch("a", (0, 1), (0, 0, 4, 4), 0.5)], [], []]
    flags = np.array([True, False, True])
    one = ClassPrototypes(vectors, flags, np.array([0.5, 0.25, 1]), ~flags, np.arange(3), patches)
    write_prototypes(path, {"id": "kmeans-0"}, "sha", [("cat", one), ("dog", one)])


def checkpoint(path):
    trained = network()
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1, momentum=0.9)
    trained(torch.ones(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    save(State(path.parent, "vanilla-0-1"), [trained], [optimizer], None, [{"loss": 0.5}], True)
    state_file(path.parent, 1).rename(path)


def index_of(path):
    rows = [
        (name, f"{name}.png", "train", (("cat",), ("cat", "dog"), ())[n], 3, 4, "00ff1e0", n)
        for n, name in enumerate(NAMES)
    ]
    write_index(path, pd.DataFrame(rows, columns=list(COLUMNS)))


def boxes(path):
    rows = [(name, "cat", 1, 2, 30, 44, n == 1) for n, name in enumerate(NAMES)]
    write_boxes(path, pd.DataFrame(rows, columns=list(BOXES)))


def masks_of(path):
    rows = [(name, f"truth/{name}.png", f"i/{name}.png") for name in NAMES]
    return pd.DataFrame(rows, columns=["image", "mask", "instances"])


def figures(path):
    rows = [("train", "iou", name, 0.25 * n, 0.3, n > 1) for n, name in enumerate(NAMES)]
    columns = ["split", "metric", "class", "value", "threshold", "tuned_on_masks"]
    write_table(path, pd.DataFrame(rows, columns=columns), columns)


def picture(**options):
    """Writes a smooth image of 24 × 18 pixels."""

    def write(path):
        rows, columns = np.indices((18, 24))
        pixels = np.stack([rows * 9, columns * 8, rows + columns], -1).astype(np.uint8)
        Image.fromarray(pixels).save(path, **options)

    return write


def read_picture(path):
    pixels = read_image(path, (18, 24))
    assert pixels.shape == (18, 24, 3) and pixels.dtype == np.uint8
    return pixels


def palette(path):
    image = Image.fromarray((np.indices((18, 24)).sum(0) % 3).astype(np.uint8))
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(path)


def read_ids(path):
    mask = read_mask(path, plain_table(2), (18, 24))
    assert mask.shape == (18, 24) and set(np.unique(mask)) <= {0, 1, 2, 255}
    return mask


def known_classes(path):
    """As programs read them: beside the images, whose tags are all classes."""
    return read_classes(path, pd.DataFrame({"tags": [("cat",), ("big dog", "cat"), ("été",)]}))


def spec(path):
    write_record(path, provenance(RECIPE) | {"classes": ["cat", "été"]})


def score(path):
    write_record(path, provenance(RECIPE) | {"background_score": 0.45, "areas": {}, "warnings": []})


KINDS = [
    Kind("0.zarr.zip", write_maps, read_shard),
    Kind("masks.zarr.zip", write_masks, read_shard),
    Kind("instances.zarr.zip", write_masks, read_instances),
    Kind(
        "prototypes.zarr.zip",
        prototypes,
        lambda path: read_prototypes(path, "kmeans-0", "sha", ["cat", "dog"]),
    ),
    Kind(
        "model.safetensors",
        lambda path: save_model(network(), path),
        lambda path: dict(load_model(network(), path).state_dict()),
    ),
    Kind("epoch-0001.pt", checkpoint, read_state),
    Kind("spec.json", spec, read_spec),
    Kind("spec.json", spec, lambda path: read_provenance(path.parent)),
    Kind("score.json", score, read_score),
    Kind("train.csv", index_of, read_index),
    Kind("boxes.csv", boxes, read_boxes),
    Kind("truth.csv", lambda path: write_truth(path, masks_of(path)), read_truth),
    Kind(
        "labelled.csv",
        lambda path: write_labelled(path, masks_of(path)),
        read_labelled,
    ),
    Kind("metrics.csv", figures, lambda path: read_checked(path, ("metric", "value"), "run again")),
    Kind("classes.txt", lambda path: write_classes(path, ["cat", "big dog", "été"]), known_classes),
    Kind("a.png", picture(), read_picture, exact=False),
    Kind("a.jpg", picture(quality=90), read_picture, exact=False),
    Kind("progressive.jpg", picture(progressive=True), read_picture, exact=False),
    Kind("a.tif", picture(compression="tiff_lzw"), read_picture, exact=False),
    Kind("plain.tif", picture(), read_picture, exact=False),
    Kind("a.webp", picture(quality=80), read_picture, exact=False),
    Kind("a.bmp", picture(), read_picture, exact=False),
    Kind("a.gif", picture(), read_picture, exact=False),
    Kind("a.avif", picture(), read_picture, exact=False),
    Kind("a.jp2", picture(), read_picture, exact=False),
    Kind("mask.png", palette, read_ids, exact=False),
]


def same(found, whole):
    """Whether two values are alike, arrays, tensors and tables within them too.

    A key more is what became of that of the checksum: nobody asks for it.
    """
    if type(found) is not type(whole):
        return False
    if isinstance(whole, dict):
        return all(key in found and same(found[key], whole[key]) for key in whole)
    if isinstance(whole, list | tuple):
        return len(found) == len(whole) and all(map(same, found, whole))
    if isinstance(whole, np.ndarray):
        return found.dtype == whole.dtype and np.array_equal(found, whole)
    if isinstance(whole, torch.Tensor):
        return found.dtype == whole.dtype and torch.equal(found, whole)
    return found.equals(whole) if isinstance(whole, pd.DataFrame) else found == whole


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_flipped_bit_is_told_in_one_line_or_changes_nothing(tmp_path, kind):
    path = tmp_path / kind.name
    kind.write(path)
    whole, written = kind.read(path), path.read_bytes()
    rng = np.random.default_rng([SEED, KINDS.index(kind)])
    count = min(8 * len(written), FLIPS // len(KINDS))
    bits = rng.choice(8 * len(written), count, replace=False)
    told = 0
    for bit in bits.tolist():
        flipped = bytearray(written)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            found = kind.read(path)
        except UserError as error:
            told += 1
            said = str(error)
            assert len(said.splitlines()) == 1, (bit, said)
            assert str(tmp_path) in said, (bit, said)
        except Exception as error:
            pytest.fail(f"bit {bit}: {type(error).__name__}: {error}")
        else:
            assert not kind.exact or same(found, whole), (bit, found, whole)
    assert told > 0 or not kind.exact
