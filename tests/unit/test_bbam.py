"""BBAM by hand: on a linear detector, and on a small one; objects together, resumed, stored."""

from collections import OrderedDict
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tags2masks.config.base import ConfigError
from tags2masks.config.object_maps import Bbam
from tags2masks.data.boxes import Boxes
from tags2masks.detectors import fasterrcnn
from tags2masks.errors import UserError
from tags2masks.machine import Machine, prepare
from tags2masks.maps import bbam
from tags2masks.maps.object_localizing import Kept, ObjectBatches, class_maps, localized_objects
from tags2masks.maps.objects import Wanted, upsampled
from tags2masks.maps.positives import positives_of
from tags2masks.object_maps import ObjectMap, read_objects, stored_objects
from tags2masks.stages import STAGES
from tags2masks.store import Shard, write_shard
from tags2masks.workflow.catalog import Catalog
from tags2masks.workflow.plan import Plan
from tests.unit.test_detector import tiny

MACHINE = Machine(threads=1)
SIZE = (3, 4)


class Linear:
    """A detector of one class, whose offsets are all Σ w·x, and whose probability is Σ v·x."""

    def __init__(self, w, v):
        self.w, self.v = torch.tensor(w), torch.tensor(v)
        self.roi_heads = SimpleNamespace(
            box_coder=SimpleNamespace(decode_single=lambda offsets, boxes: boxes)
        )

    def normalize(self, images):
        return images

    def pyramid(self, images):
        assert images.shape[1:] == (3, 64, 64)  # padded, with zeros
        assert images[..., 3:, :].abs().sum() == images[..., 4:].abs().sum() == 0
        return OrderedDict({"0": images[:, 0, :3, :4]})

    def answers(self, levels, boxes, sizes):
        per_box = torch.tensor([len(own) for own in boxes])
        t, p = (
            (levels["0"] * each).sum((1, 2)).repeat_interleave(per_box) for each in (self.w, self.v)
        )
        return torch.stack([1 - p, p], 1), t[:, None, None].expand(-1, 2, 4)


W = [[0.5, 0.02, 0.015, 0.013], [0.0, 0.3, 0.0, 0.1], [0.0, 0.012, 0.0, 0.05]]
V = [[0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.4, 0.0], [0.0, 0.0, 0.0, 0.0]]
# Half of w counts against λ = 0.007.
KEPT = {
    "box": [[1, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 1]],
    "class": [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]],
    "both": [[1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 1]],
}


def whole(image: int = 0, size=SIZE, number: int = 1) -> Wanted:
    """An object as large as its image."""
    return Wanted(image, torch.tensor([0.0, 0, size[1], size[0]]), number, 7)


@pytest.mark.parametrize("heads", KEPT)
def test_the_optimum_on_a_linear_detector(heads):
    spec = Bbam(cell=1, heads=heads, smoothness=0, jitter=0, proposals=3)
    ((grid, count),) = bbam.localize(Linear(W, V), torch.ones(1, 3, *SIZE), [whole()], spec)
    assert count == 3
    assert grid.tolist() == KEPT[heads]


def test_only_the_size_of_the_change_counts():
    # The image is negative, so that are all offsets; the optimum is the same.
    spec = Bbam(cell=1, heads="box", smoothness=0, jitter=0, proposals=3)
    network = Linear((-torch.tensor(W)).tolist(), np.where(np.array(V) > 0, V, 0.1).tolist())
    ((grid, _),) = bbam.localize(network, torch.ones(1, 3, *SIZE), [whole()], spec)
    assert grid.tolist() == KEPT["box"]


def test_without_a_proposal_that_counts_the_mask_is_empty():
    spec = Bbam(cell=1)
    nothing = torch.zeros(3, 4).tolist()
    made = bbam.localize(Linear(W, nothing), torch.ones(1, 3, *SIZE), [whole()], spec)
    assert made[0][1] == 0 and made[0][0].tolist() == torch.zeros(3, 4).tolist()


def test_total_variation_by_hand():
    corner = torch.tensor([[0.0, 1], [0, 0]])
    assert bbam.total_variation(corner, 3) == 4  # 1 in rows, 1 in columns, 2 in diagonals
    assert bbam.total_variation(corner / 2, 3) == 4 / 8
    assert bbam.total_variation(torch.ones(3, 4), 3) == 0
    # One row: 0.5³ + 0.5³, no diagonal.
    assert bbam.total_variation(torch.tensor([[0, 0.5, 1]]), 3) == 0.25
    assert bbam.total_variation(torch.ones(1, 1), 3) == 0


def test_total_variation_smooths():
    spec = Bbam(cell=1, heads="box", smoothness=0.1, smoothness_power=1, jitter=0, proposals=3)
    ((grid, _),) = bbam.localize(Linear(W, V), torch.ones(1, 3, *SIZE), [whole()], spec)
    assert bbam.total_variation(grid, 1) < bbam.total_variation(torch.tensor(KEPT["box"]), 1)


@pytest.mark.parametrize(
    ("box", "cell", "cells"),
    [
        ([0, 0, 800, 600], None, (9, 12)),  # a = 1: stride 64
        ([0, 0, 400, 300], None, (15, 20)),  # a = 1/4: stride 40
        ([0, 0, 1, 1], None, (37, 49)),  # stride 16.07
        ([0, 0, 1, 1], 40, (15, 20)),
        ([0, 0, 1, 1], 700, (1, 1)),
    ],
)
def test_the_grid_by_hand(box, cell, cells):
    assert bbam.grid_size(torch.tensor(box, dtype=torch.float), (600, 800), cell) == cells


def test_the_start_is_where_a_predicted_box_touches():
    boxes = torch.tensor([[0.0, 0, 10, 10], [25, 5, 31, 25]])
    assert bbam.start(boxes, (30, 40), (3, 4)).tolist() == [
        [1, 0, 1, 1],
        [0, 0, 1, 1],
        [0, 0, 1, 1],
    ]
    assert bbam.start(boxes[:0], (30, 40), (3, 4)).sum() == 0


def test_a_grid_is_upsampled_with_its_corners_at_the_images_corners():
    mask = upsampled(torch.tensor([[0.0, 1]]), (2, 5))
    assert mask.tolist() == [[0, 0.25, 0.5, 0.75, 1]] * 2


@pytest.fixture(scope="module")
def network():
    """A small detector that takes everything for class 1, and moves boxes a little."""
    torch.manual_seed(0)
    built = fasterrcnn.build(tiny(pyramid_channels=8), 2).eval().requires_grad_(False)
    predictor = built.roi_heads.box_predictor
    predictor.cls_score.bias.copy_(torch.tensor([0.0, 2, 0]))
    predictor.bbox_pred.weight.mul_(4)
    return built


SPEC = Bbam(steps=12, cell=8, proposals=60, positives=20, overlaps=(0.7, 0.5))
OBJECTS = [
    Wanted(0, torch.tensor([5.0, 5, 40, 50]), 1, 1),
    Wanted(1, torch.tensor([0.0, 10, 30, 33]), 1, 2),
    Wanted(0, torch.tensor([30.0, 20, 64, 40]), 1, 3),
    Wanted(1, torch.tensor([3.0, 3, 12, 12]), 2, 4),  # not of class 2: no proposal counts
]


def test_objects_together_are_as_one_at_a_time(network):
    prepare(MACHINE, 0)
    images = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    together = bbam.localize(network, images, OBJECTS, SPEC)
    assert [count for _, count in together] == [20, 20, 20, 0]
    moved = 0
    for wanted, (grid, count) in zip(OBJECTS, together, strict=True):
        alone = bbam.localize(network, images[wanted.image][None], [wanted._replace(image=0)], SPEC)
        assert alone[0][1] == count
        torch.testing.assert_close(grid, alone[0][0], atol=1e-5, rtol=0)
        moved += ((grid > 0) & (grid < 1)).sum()
    assert moved > 10


def test_the_loss_is_that_of_the_plain_formulation(network):
    """One step from a known mask, against eq. 5.1 written out for one object and its proposals."""
    prepare(MACHINE, 0)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    ((first, _),) = bbam.localize(network, image, OBJECTS[:1], SPEC.model_copy(update={"steps": 0}))
    ((second, _),) = bbam.localize(
        network, image, OBJECTS[:1], SPEC.model_copy(update={"steps": 1})
    )
    normal = network.normalize(image)
    found = positives_of(network, network.pyramid(normal), (64, 64), OBJECTS[0], SPEC)
    grid = first.clone().requires_grad_()
    mask = torch.nn.functional.interpolate(
        grid[None, None], (64, 64), mode="bilinear", align_corners=True
    )
    levels = network.pyramid(normal * mask)
    loss = 0.007 * grid.sum() + 1e-4 * bbam.total_variation(grid, 3)
    for box, p, t in zip(found.boxes, found.probabilities, found.offsets, strict=True):
        now, offsets = network.answers(levels, [box[None]], [(64, 64)])
        change = (offsets[0, 1] - t).abs().sum() / 4 + (now[0, 1] - p).abs()
        loss = loss + change / 2 / len(found.boxes)
    loss.backward()
    # The first step of Adam is as long as its rate, against the gradient.
    expected = (first - 0.02 * grid.grad / (grid.grad.abs() + 1e-8)).clamp(0, 1)
    torch.testing.assert_close(second, expected, atol=1e-5, rtol=0)


@pytest.fixture
def shard(tmp_path):
    """Three images, of which two have boxes; their table and boxes."""
    rng, rows = np.random.default_rng(0), []
    for name, size in (("a", (48, 64)), ("none", (20, 30)), ("b", (24, 32))):
        Image.fromarray(rng.integers(256, size=(*size, 3), dtype=np.uint8)).save(
            tmp_path / f"{name}.png"
        )
        rows.append((name, f"{name}.png", *size))
    table = pd.DataFrame(rows, columns=["image", "path", "height", "width"])
    corners = ([[5, 5, 39, 44], [30, 20, 63, 39]], [], [[0, 5, 14, 15], [1, 1, 9, 9], [3, 3, 9, 9]])
    numbers = ([1, 1], [], [1, 2, 1])
    boxes = [
        Boxes(np.array(c, int).reshape(-1, 4), np.array(n, int), np.array([i == 1 for i in n]))
        for c, n in zip(corners, numbers, strict=True)
    ]
    return tmp_path, table, boxes


def made(network, shard, spec, method=None, mark="f", name="kept"):
    """The entries of the shard by image."""
    folder, table, boxes = shard
    prepare(MACHINE, 0)
    method = method or partial(bbam.localize, network, spec=spec)
    kept = Kept(folder / name, mark)
    return {
        image: (maps, attributes, further)
        for image, maps, attributes, further in localized_objects(
            method, spec, table, folder, boxes, ["cat", "dog"], (48, 64), 3, MACHINE, kept
        )
    }


def test_two_hundred_boxes_of_an_image(shard):
    folder, table, _ = shard
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(24, size=(200, 2, 2)), axis=1).reshape(200, 4)
    none = Boxes(np.zeros((0, 4), int), np.zeros(0, int), np.zeros(0, bool))
    many = Boxes(corners, 1 + np.arange(200) % 2, np.zeros(200, bool))
    spec = SPEC.model_copy(update={"objects_per_pass": 7})

    def method(images, wanted):
        assert len(images) == 1 and len(wanted) <= 7
        return [(torch.full((1, 1), float(one.number) / 2), one.number) for one in wanted]

    made_of = made(None, (folder, table, [none, none, many]), spec, method)
    _, attributes, further = made_of["b"]
    rows = attributes["objects"]
    assert [row[1:5] for row in rows] == corners.tolist()
    assert further["grids"].tolist() == [0.5, 1] * 100 and [row[6] for row in rows] == [1, 2] * 100


def test_maps_of_classes_and_objects_are_stored_together(network, shard):
    folder = shard[0]
    entries = made(network, shard, SPEC)
    assert list(entries) == ["a", "none", "b"]
    entry_list = [(image, *entry) for image, entry in entries.items()]
    write_shard(folder / "0.zarr.zip", {"id": "x"}, "sha", entry_list)
    with Shard(folder / "0.zarr.zip", "x", "sha") as stored:
        maps, attributes = stored.read("b")
        assert attributes["classes"] == ["cat", "dog"] and attributes["size"] == [24, 32]
        assert maps.shape == (2, 6, 8) and maps.dtype == np.float16
        assert 0 < maps[0].max() <= 1 and maps.min() >= 0 and not maps[1].any()
        objects, seen = read_objects(stored, "b")
        assert seen == (48, 64) and [one.class_id for one in objects] == [1, 2, 1]
        assert [one.box for one in objects] == [(0, 5, 14, 15), (1, 1, 9, 9), (3, 3, 9, 9)]
        assert [one.difficult for one in objects] == [True, False, True]
        assert objects[1].proposals == 0 and not objects[1].grid.any()
        assert all(one.grid.shape == (6, 8) for one in objects)
        assert class_maps(objects, ["cat", "dog"], (24, 32), seen, 4)[1].tolist() == maps.tolist()
        empty, attributes = stored.read("none")
        assert empty.shape == (0, 5, 8) and attributes["classes"] == []
        assert read_objects(stored, "none") == ([], (43, 64))


def test_the_map_of_a_class_is_the_maximum_over_its_objects():
    left, right = np.array([[1, 0.5]], np.float16), np.array([[0.25, 0.75]], np.float16)
    objects = [
        ObjectMap(2, (0, 0, 3, 3), False, 5, left),
        ObjectMap(2, (0, 0, 3, 3), False, 5, right),
        ObjectMap(1, (0, 0, 3, 3), False, 5, right),
    ]
    names, maps = class_maps(objects, ["cat", "dog"], (2, 2), (2, 2), 1)
    assert names == ["cat", "dog"]
    assert maps[1].tolist() == [[1, 0.75]] * 2 and maps[0].tolist() == [[0.25, 0.75]] * 2


def test_damaged_objects_are_refused(tmp_path):
    attributes, further = stored_objects(
        [ObjectMap(1, (0, 0, 1, 1), False, 1, np.ones((2, 2)))], (4, 4)
    )
    attributes["objects"][0][-1] = 3
    entry = ("a", np.zeros((0, 1, 1), np.float16), attributes, further)
    write_shard(tmp_path / "0.zarr.zip", {"id": "x"}, "sha", [entry])
    with (
        Shard(tmp_path / "0.zarr.zip", "x", "sha") as shard,
        pytest.raises(UserError, match=r"0\.zarr\.zip: image 'a': its objects are damaged; delete"),
    ):
        read_objects(shard, "a")


def same(one, other) -> bool:
    """Whether entries are equal to the bit."""
    return one.keys() == other.keys() and all(
        a[0].tobytes() == b[0].tobytes()
        and a[1] == b[1]
        and a[2]["grids"].tobytes() == b[2]["grids"].tobytes()
        for a, b in zip(one.values(), other.values(), strict=True)
    )


def test_a_killed_run_loses_one_batch(network, shard, tmp_path):
    spec = SPEC.model_copy(update={"objects_per_pass": 2})
    whole_run = made(network, shard, spec, name="whole")
    calls = []

    def counting(images, objects, until=9):
        calls.append(len(objects))
        if len(calls) > until:
            raise KeyboardInterrupt
        return bbam.localize(network, images, objects, spec)

    with pytest.raises(KeyboardInterrupt):
        made(network, shard, spec, partial(counting, until=2))
    assert len(list((tmp_path / "kept").glob("objects-*.npz"))) == 2
    calls.clear()
    resumed = made(network, shard, spec, counting)
    assert calls == [1] and same(whole_run, resumed)
    # A damaged file is made again, and everything for another fingerprint.
    (tmp_path / "kept" / "objects-000001.npz").write_bytes(b"PK")
    calls.clear()
    assert same(whole_run, made(network, shard, spec, counting)) and calls == [2]
    calls.clear()
    made(network, shard, spec, counting, mark="other")
    assert calls == [2, 2, 1]
    Kept(tmp_path / "kept", "other").end()
    assert not (tmp_path / "kept").exists()


def test_batches_are_of_one_size_whatever_the_image(shard):
    folder, table, boxes = shard
    batches = ObjectBatches(table, folder, boxes, (48, 64), 4)
    # Both images with boxes are seen as 48 × 64.
    assert batches.batches == [[(0, 0), (0, 1), (2, 0), (2, 1)], [(2, 2)]]
    number, images = batches[0]
    assert number == 0 and images.shape == (2, 3, 48, 64)


def test_maps_do_not_depend_on_the_number_of_objects_per_pass(network, shard):
    one, many = (
        made(network, shard, SPEC.model_copy(update={"objects_per_pass": n}), name=str(n))
        for n in (1, 5)
    )
    for image in one:
        np.testing.assert_allclose(one[image][0], many[image][0], atol=1e-3)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("d / vanilla / bbam", r"'bbam' of maps follows one of detectors, but here it follows"),
        ("d / boxes / cam", r"'cam' of maps follows one of classifiers, but here it follows"),
    ],
)
def test_it_follows_a_detector(path, said):
    config = {
        "datasets": {"d": {"kind": "digits"}},
        "classifiers": {"vanilla": {"method": "vanilla"}},
        "detectors": {"boxes": {"method": "fasterrcnn"}},
        "maps": {"bbam": {"method": "bbam"}, "cam": {"method": "cam"}},
        "experiments": [path],
    }
    with pytest.raises(ConfigError, match=said):
        Catalog(config)


def test_a_background_score_is_given_for_it():
    config = {
        "datasets": {"d": {"kind": "digits"}},
        "detectors": {"boxes": {"method": "fasterrcnn"}},
        "maps": {"bbam": {"method": "bbam"}},
        "masks": {"threshold": {"method": "threshold"}},
        "experiments": ["d / boxes / bbam / threshold"],
    }
    with pytest.raises(ConfigError, match="separation needs a classifier"):
        Catalog(config)
    config["masks"]["threshold"]["background_score"] = 0.5
    config["evaluation"] = {"background_score": 0.5, "epoch_images": 4}
    plan = Plan(config)
    assert {a.supervision for a in plan.artifacts.values()} == {("boxes",)}
    assert plan.epoch_tables == []


def test_boxes_of_val_are_measured_by_and_localized_alone():
    config = {
        "datasets": {"d": {"kind": "digits"}},
        "detectors": {"boxes": {"method": "fasterrcnn"}},
        "maps": {"bbam": {"method": "bbam"}},
        "experiments": ["d / boxes / bbam"],
        "evaluation": {"background_score": 0.5, "splits": ["train", "val"]},
    }
    plan = Plan(config)
    detector, maps = (plan.of_stage(stage)[0] for stage in ("detector", "maps"))
    own = SimpleNamespace(dataset="d", id=detector.id)
    assert plan.inputs(STAGES["detector"])(own)["boxes"] == "results/d/boxes.csv"
    assert plan.val_boxes(STAGES["detector"])(own) == ["results/d/val-boxes.csv"]
    for shard, boxes in (("0", "boxes"), ("val-0", "val-boxes")):
        job = SimpleNamespace(dataset="d", id=maps.id, shard=shard)
        assert plan.inputs(STAGES["maps"])(job)["boxes"] == f"results/d/{boxes}.csv"
        assert " --source " in plan.part(STAGES["maps"])(job)
