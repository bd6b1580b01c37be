"""The measuring programs: curves against masks made at every background score, and contours."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.config.folders import Folder
from tags2masks.config.masks import Smooth, Superpixel
from tags2masks.data.index import build_index, images_sha, rows_of, write_classes, write_index
from tags2masks.data.truth import write_truth
from tags2masks.masks import smooth, superpixel
from tags2masks.masks.seeds import seed, upsample
from tags2masks.metrics.confusion import class_mean, confusion, scores
from tags2masks.metrics.contour import contour_counts, contour_scores
from tags2masks.store import write_shard
from tags2masks.workflow.ids import artifact_id
from workflow_scripts import measure_labels, measure_maps, measure_scores

CLASSES = ["cat", "dog"]
TAGS = {"a": ("cat",), "b": ("cat", "dog"), "c": ()}


@pytest.fixture
def made(tmp_path):
    """Three images with blocky colours, their maps, truths, index and truth table."""
    rng = np.random.default_rng(0)
    images, maps, truths = {}, {}, {}
    for number, (name, tags) in enumerate(TAGS.items()):
        blocks = rng.integers(0, 255, (3, 4, 3)).astype(np.uint8)
        images[name] = blocks.repeat(7 + number, axis=0).repeat(6, axis=1)
        height, width = images[name].shape[:2]
        maps[name] = rng.random((len(tags), -(-height // 4), -(-width // 4))).astype(np.float16)
        truths[name] = rng.choice(np.array([0, 1, 2, 255], np.uint8), (height, width))
        Image.fromarray(images[name]).save(tmp_path / f"{name}.png")
        Image.fromarray(truths[name]).save(tmp_path / f"{name}_truth.png")
    listing = [(name, f"{name}.png", "train", tags) for name, tags in TAGS.items()]
    listing = pd.DataFrame(listing, columns=["image", "path", "split", "tags"])
    index = build_index(listing, tmp_path, CLASSES, 1, 1)
    write_index(tmp_path / "index.csv", index)
    write_classes(tmp_path / "classes.txt", CLASSES)
    table = [(name, f"{name}_truth.png", "") for name in TAGS]
    columns = ["image", "mask", "instances"]
    write_truth(tmp_path / "truth.csv", pd.DataFrame(table, columns=columns))
    return images, maps, truths, images_sha(rows_of(index, "train"))


@pytest.mark.parametrize(
    ("method", "spec"),
    [
        (smooth, Smooth(kernel=5, sigma=2, background_score=0.45)),
        (superpixel, Superpixel(min_size=10, background_score=0.45)),
    ],
)
def test_figures_are_those_of_masks_made_at_each_score(tmp_path, monkeypatch, made, method, spec):
    images, maps, truths, sha = made
    ids = {name: number for number, name in enumerate(CLASSES, start=1)}
    recipe = {"method": spec.method, "spec": spec.key(), "upstream": {"maps": "cam-1"}}
    dataset = Folder(images="", tags="", masks="", classes=tuple(CLASSES))

    def masks_at(score):
        at = spec.model_copy(update={"background_score": score})
        return {
            name: method.make_mask(images[name], maps[name], [ids[t] for t in tags], at)
            for name, tags in TAGS.items()
        }

    sizes = {name: list(truth.shape) for name, truth in truths.items()}
    entries = [(n, maps[n], {"classes": list(TAGS[n]), "size": sizes[n]}) for n in TAGS]
    write_shard(tmp_path / "maps.zarr.zip", {"id": "cam-1"}, sha, entries)
    entries = [(name, mask, {"size": sizes[name]}) for name, mask in masks_at(0.45).items()]
    write_shard(tmp_path / "masks.zarr.zip", {"id": artifact_id(recipe)}, sha, entries)
    options = {
        "recipe": json.dumps({"dataset": dataset.key(), "seed": 0}),
        "id": artifact_id(recipe), "masks": json.dumps(recipe), "split": "train",
        "thresholds": 10, "root": tmp_path, "image-root": tmp_path, "threads": 1,
        "index": tmp_path / "index.csv", "classes": tmp_path / "classes.txt",
        "truth": tmp_path / "truth.csv", "shards": tmp_path / "masks.zarr.zip",
        "maps": tmp_path / "maps.zarr.zip", "cam": "cam-1", "cams": tmp_path / "maps.zarr.zip",
        "metrics": tmp_path / "metrics.csv", "images": tmp_path / "images.csv",
        "curve": tmp_path / "curve.csv",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["measure_scores", *words])
    measure_scores.main()

    expected = {}
    for score in sorted({*(n / 10 for n in range(11)), 0.45}):
        made_masks = masks_at(score)
        matrix = sum(confusion(truths[name], made_masks[name], 2) for name in TAGS)
        expected[score] = float(class_mean(scores(matrix)["iou"]))
    curve = pd.read_csv(tmp_path / "curve.csv")
    means = curve[curve["class"] == "mean"].set_index("threshold")["iou"]
    assert means.to_dict() == pytest.approx(expected)

    rows = pd.read_csv(tmp_path / "metrics.csv")
    means = rows[(rows["metric"] == "iou") & (rows["class"] == "mean")]
    best = max(expected, key=expected.get)
    found = means[["value", "threshold", "tuned_on_masks"]].to_numpy().tolist()
    assert found == [
        [pytest.approx(expected[0.45]), 0.45, False],
        [pytest.approx(expected[best]), best, True],
    ]
    contours = sum(contour_counts(truths[name], masks_at(0.45)[name], 2) for name in TAGS)
    told = rows[(rows["metric"] == "contour_f") & (rows["class"] != "mean")]
    assert told["value"].tolist() == pytest.approx(contour_scores(contours)["f"].tolist())
    assert told["threshold"].tolist() == [0.45] * 2 and not told["tuned_on_masks"].any()
    recalls = rows[rows["metric"] == "ndr_recall"]
    assert set(recalls["tuned_on_masks"]) == {True, False}
    assert not rows["metric"].str.startswith("hsr").any()  # shares are told of maps alone
    assert pd.read_csv(tmp_path / "images.csv")["image"].tolist() == list(TAGS)


def test_contours_of_maps_and_of_masks_are_those_of_the_seeds(tmp_path, monkeypatch, made):
    _, maps, truths, sha = made
    seeds = {
        name: seed(upsample(maps[name], truths[name].shape), range(1, len(tags) + 1), 0.45)
        for name, tags in TAGS.items()
    }
    sizes = {name: list(truth.shape) for name, truth in truths.items()}
    entries = [(n, maps[n], {"classes": list(TAGS[n]), "size": sizes[n]}) for n in TAGS]
    write_shard(tmp_path / "maps.zarr.zip", {"id": "cam-1"}, sha, entries)
    entries = [(name, mask, {"size": sizes[name]}) for name, mask in seeds.items()]
    write_shard(tmp_path / "masks.zarr.zip", {"id": "masks-1"}, sha, entries)
    dataset = Folder(images="", tags="", masks="", classes=tuple(CLASSES))
    shared = {
        "recipe": json.dumps({"dataset": dataset.key(), "seed": 0}), "split": "train",
        "root": tmp_path, "threads": 1, "index": tmp_path / "index.csv",
        "classes": tmp_path / "classes.txt", "truth": tmp_path / "truth.csv",
    }  # fmt: skip
    of_maps = {
        "id": "cam-1", "shards": tmp_path / "maps.zarr.zip", "curve": tmp_path / "curve.csv",
        "background-score": 0.45, "thresholds": 10,
    }  # fmt: skip
    of_masks = {
        "id": "masks-1", "shards": tmp_path / "masks.zarr.zip", "images": tmp_path / "images.csv",
    }  # fmt: skip
    counts = sum(contour_counts(truths[name], seeds[name], 2) for name in TAGS)
    f = contour_scores(counts)["f"].tolist()
    assert 0 < min(f) < 1
    for program, options, threshold in (
        (measure_maps, of_maps, [0.45] * 3),
        (measure_labels, of_masks, pytest.approx([np.nan] * 3, nan_ok=True)),
    ):
        options = {**shared, **options, "metrics": tmp_path / "metrics.csv"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        monkeypatch.setattr(sys, "argv", ["measure", *words])
        program.main()
        rows = pd.read_csv(tmp_path / "metrics.csv")
        rows = rows[rows["metric"] == "contour_f"]
        assert rows["class"].tolist() == ["mean", *CLASSES]
        assert rows["value"].tolist() == pytest.approx([np.mean(f), *f])
        assert rows["threshold"].tolist() == threshold and not rows["tuned_on_masks"].any()
