"""Faster R-CNN: views with boxes, its parts, what it learns, and what it refuses."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tags2masks.checkpoints import State
from tags2masks.config.base import ConfigError
from tags2masks.config.detectors import FasterRcnn, ShortSides
from tags2masks.config.training import Backbone
from tags2masks.data.boxed import BoxedViews, ResizedImages, fitted
from tags2masks.data.boxes import Box, Boxes, box_table, boxes_of, write_boxes
from tags2masks.detectors import fasterrcnn
from tags2masks.detectors.detecting import found_in
from tags2masks.errors import UserError
from tags2masks.machine import Machine, prepare
from tags2masks.metrics.box_ap import Detections, Truth, box_ap
from tags2masks.nets.detector import LOSSES, Detector, RegionAlign, parts_of
from tags2masks.nets.pyramid import Pyramid
from tags2masks.task import Task
from tags2masks.training import fit
from tags2masks.workflow.catalog import Catalog
from tests.unit.tiny import smaller

MACHINE = Machine(threads=1)


def tiny(**changes) -> FasterRcnn:
    """A small detector of 64-pixel images."""
    one_size = {"short_sides": (64,), "longest": 64}
    return FasterRcnn(
        **(smaller(FasterRcnn) | {"augment": one_size, "test_short_side": 64} | changes)
    )


@pytest.fixture
def photograph(tmp_path):
    """A 20 × 40 image whose left quarter is white, in a table of one row."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :10] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    row = {"image": "a", "path": "a.png", "split": "train", "height": 20, "width": 40}
    return tmp_path, pd.DataFrame([row])


@pytest.mark.parametrize(
    ("size", "short", "longest", "wanted"),
    [
        ((375, 500), 600, 1000, (600, 800)),
        ((500, 375), 800, 1333, (1067, 800)),
        ((300, 900), 800, 1333, (444, 1333)),
        ((1, 40), 32, 64, (2, 64)),
        ((1, 400), 32, 64, (1, 64)),
    ],
)
def test_an_image_is_fitted_by_its_short_side_or_its_long_one(size, short, longest, wanted):
    assert fitted(size, short, longest) == wanted


@pytest.mark.parametrize(("flip", "edges"), [(0, [0, 0, 20, 40]), (1, [60, 0, 80, 40])])
def test_boxes_go_with_their_image(photograph, flip, edges):
    folder, rows = photograph
    own = Boxes(np.array([[0, 0, 9, 19]]), np.array([2]), np.array([False]))
    augment = ShortSides(short_sides=(40,), longest=80, flip=flip)
    image, boxes, classes = BoxedViews(rows, folder, [own], augment)[(0, 1, 2, 3)]
    assert image.shape == (3, 40, 80) and image.dtype == torch.uint8
    assert boxes.tolist() == [edges] and classes.tolist() == [2]
    inside = image[0, :, edges[0] + 2 : edges[2] - 2]
    assert (inside > 250).all() and image.float().mean() == pytest.approx(255 / 4, abs=1)


def test_sides_are_drawn_and_an_image_may_have_no_box(photograph):
    folder, rows = photograph
    none = Boxes(np.zeros((0, 4), int), np.zeros(0, int), np.zeros(0, bool))
    views = BoxedViews(rows, folder, [none], ShortSides(short_sides=(20, 24, 28)))
    examples = [views[(0, 0, 0, place)] for place in range(20)]
    assert {image.shape[1] for image, _, _ in examples} == {20, 24, 28}
    images, boxes, classes = views.collate(examples[:2])
    assert [tuple(b.shape) for b in boxes] == [(0, 4)] * 2 and len(images) == len(classes) == 2


def test_the_table_of_boxes_by_image(tmp_path):
    index = pd.DataFrame({"image": ["a", "b", "c"], "height": 8, "width": 8})
    boxes = [
        Box("c", "dog", (1, 2, 3, 4), True, ""),
        Box("a", "cat", (0, 0, 7, 7), False, ""),
        Box("c", "cat", (5, 5, 5, 5), False, ""),
    ]
    write_boxes(tmp_path / "boxes.csv", box_table(boxes, index))
    of_a, of_b, of_c = boxes_of(tmp_path / "boxes.csv", index, ["cat", "dog"])
    assert of_a.edges.tolist() == [[0, 0, 8, 8]] and of_b.edges.shape == (0, 4)
    assert of_c.edges.tolist() == [[1, 2, 4, 5], [5, 5, 6, 6]]
    assert of_c.classes.tolist() == [2, 1] and of_c.difficult.tolist() == [True, False]
    kept = boxes_of(tmp_path / "boxes.csv", index, ["cat", "dog"], keep_difficult=False)
    assert [own.classes.tolist() for own in kept] == [[1], [], [1]]
    with pytest.raises(
        UserError, match=r"boxes\.csv: unknown class 'dog', not among cat; delete it"
    ):
        boxes_of(tmp_path / "boxes.csv", index, ["cat"])


def test_images_of_like_size_are_batches(photograph):
    folder, rows = photograph
    images = ResizedImages(pd.concat([rows] * 3), folder, 10, 100, 2)
    assert [
        (numbers, tuple(pixels.shape)) for numbers, pixels in map(images.__getitem__, (0, 1))
    ] == [
        ([0, 1], (2, 3, 10, 20)),
        ([2], (1, 3, 10, 20)),
    ]


def test_regions_are_taken_from_the_level_of_their_size():
    # Level n is n everywhere. Boxes of 56², 112², 224² and 448² are of strides 4, 8, 16 and 32.
    levels = {str(n): torch.full((1, 1, 512 >> n, 512 >> n), float(n)) for n in range(5)}
    boxes = torch.tensor([[0, 0, side, side] for side in (30.0, 56, 112, 224, 448)])
    align = RegionAlign(7)
    small = {name: level[..., :1, :1] for name, level in levels.items()}
    align(small, [torch.tensor([[0.0, 0, 3, 3]])], [(3, 3)])  # does not decide the strides
    found = align(levels, [boxes], [(2048, 2048)])
    assert found.shape == (5, 1, 7, 7)
    assert found.mean((1, 2, 3)).tolist() == [0, 0, 1, 2, 3]


def test_a_region_by_hand():
    # Features that are the column: a box of columns 0 to 56, cells of 8 pixels, two of stride 4.
    column = torch.arange(64.0).expand(1, 1, 64, 64)
    found = RegionAlign(7)({"0": column, "1": column, "2": column, "3": column}, [
        torch.tensor([[0.0, 0, 56, 56]])
    ], [(256, 256)])  # fmt: skip
    # Samples at 1/4 and 3/4 of a bin of two cells; cell n has its value at n, not at n + 1/2.
    assert found[0, 0, 0].tolist() == pytest.approx([1 + 2 * n for n in range(7)])


def test_the_same_is_detected_as_by_torchvision():
    spec = tiny(regions={"score": 0.0, "channels": 8})
    torch.manual_seed(0)
    pyramid = Pyramid(spec.backbone, spec.pyramid_channels)
    parts = parts_of(spec, pyramid, 2)
    parts.transform.min_size, parts.transform.max_size = (64,), 128
    network = Detector(spec.backbone, pyramid, parts).eval()
    images = list(torch.rand(2, 3, 64, 128))
    with torch.no_grad():
        ours, theirs = network(images), parts.eval()(images)
    assert len(ours[0]["boxes"]) > 0
    for one, other in zip(ours, theirs, strict=True):
        for name in ("boxes", "labels", "scores"):
            torch.testing.assert_close(one[name], other[name])


def test_heads_answer_on_given_boxes():
    spec = tiny()
    torch.manual_seed(0)
    network = fasterrcnn.build(spec, 2).eval()
    boxes = [torch.tensor([[0.0, 0, 9, 9], [3, 3, 60, 40]]), torch.tensor([[0.0, 0, 9, 9]])]
    images = torch.rand(1, 3, 64, 64).expand(2, -1, -1, -1)
    with torch.no_grad():
        levels = network.pyramid(network.normalize(images))
        probabilities, offsets = network.answers(levels, boxes, [(64, 64)] * 2)
    assert probabilities.shape == (3, 3) and offsets.shape == (3, 3, 4)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(3))
    torch.testing.assert_close(probabilities[0], probabilities[2])
    torch.testing.assert_close(offsets[0], offsets[2])


def test_first_stages_and_batch_norm_do_not_learn():
    weights = Backbone(name="test_resnet", weights="pretrained", output_stride=32)
    network = fasterrcnn.build(tiny(backbone=weights, frozen_stages=2), 2)
    learning = {n.split(".")[0] for n, p in network.backbone.named_parameters() if p.requires_grad}
    assert learning == {"layer2", "layer3", "layer4"}
    norms = [n for n, p in network.backbone.named_parameters() if "bn" in n and p.requires_grad]
    assert norms == []
    live = fasterrcnn.build(tiny(freeze_bn=False), 2).backbone.named_parameters()
    assert all(parameter.requires_grad for _, parameter in live)
    with pytest.raises(UserError, match="frozen_stages: 6, but FeatureListNet has 5 stages"):
        fasterrcnn.build(tiny(backbone=weights, frozen_stages=6), 2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mixer_s32_224", "Input height .64. doesn't match model"),
        ("test_mambaout", "gives no features of strides 4, 8, 16, 32"),
        ("resnet38d", "is not of timm"),
        ("resnet51", "timm has no 'resnet51'; did you mean"),
    ],
)
def test_backbones_without_a_pyramid_are_refused(name, said):
    with pytest.raises(UserError, match=rf"backbone\.name: .*{said}"):
        fasterrcnn.build(tiny(backbone={"name": name, "output_stride": 32}), 2)


@pytest.fixture
def squares(tmp_path):
    """Six images of one or two squares, bright or dark, on noise; a table and the boxes."""
    rng, rows, boxes = np.random.default_rng(0), [], []
    for number in range(6):
        pixels = rng.integers(90, 160, size=(64, 64, 3), dtype=np.uint8)
        corners, classes = [], []
        for half in range(1 + number % 2):
            side, kind = int(rng.integers(16, 26)), (number + half) % 2
            x, y = 32 * half + int(rng.integers(0, 32 - side)), int(rng.integers(0, 64 - side))
            pixels[y : y + side, x : x + side] = (255, 0)[kind]
            corners.append((x, y, x + side - 1, y + side - 1))
            classes.append(kind + 1)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append({"image": str(number), "path": f"{number}.png", "height": 64, "width": 64})
        boxes.append(Boxes(np.array(corners), np.array(classes), np.zeros(len(classes), bool)))
    return tmp_path, pd.DataFrame(rows), boxes


def learned(squares, spec, rounds):
    """A network that saw every image so often, and its rows."""
    folder, rows, boxes = squares
    prepare(MACHINE, 0)
    network = fasterrcnn.build(spec, 2)
    views = BoxedViews(rows, folder, boxes * rounds, spec.augment)
    views.paths, views.sizes = views.paths * rounds, views.sizes * rounds
    return network, fit(network, views, fasterrcnn.step, spec, 0, MACHINE, State(folder / "s", "f"))


def test_squares_are_learned(squares):
    folder, rows, boxes = squares
    spec = tiny(
        epochs=5,
        freeze_bn=False,
        pyramid_channels=16,
        regions={"channels": 64, "sampled": 32},
        optimizer={"name": "adamw", "lr": 2e-3, "drops": (0.8,)},
    )
    network, figures = learned(squares, spec, rounds=10)
    assert set(LOSSES.values()) < set(figures[0])
    for row in figures:
        parts = sum(row[name] for name in LOSSES.values())
        assert row["loss"] == pytest.approx(parts, rel=1e-5)
    assert figures[-1]["class_loss"] < figures[0]["class_loss"] / 2
    found = {
        row: Detections(answer["boxes"], answer["labels"], answer["scores"])
        for row, answer in found_in(network, rows, folder, (64, 64), MACHINE)
    }
    truth = [Truth(own.edges, own.classes, own.difficult) for own in boxes]
    assert (box_ap([(truth[n], found[n]) for n in range(6)], 2)["ap50"] > 0.7).all()


def test_a_training_that_diverges_is_told(squares):
    spec = tiny(optimizer={"lr": 1000.0, "warmup": 0, "drops": ()}, epochs=3)
    with pytest.raises(UserError, match=r"(loss became|no longer finite).*; lower optimizer\.lr"):
        learned(squares, spec, rounds=2)


def task(folder, spec, **tables) -> Task:
    """A task of one training image."""
    row = {"image": "a", "path": "a.png", "split": "train", "tags": ("cat",), "sha": "s"}
    index = pd.DataFrame([row | {"height": 8, "width": 8, "shard": 0}])
    recipe = {"stage": "detector", "method": "fasterrcnn", "spec": spec.key(), "upstream": {}}
    classes = ["cat"]
    return Task(recipe, index, classes, folder, MACHINE, folder / "m.safetensors", **tables)


def test_boxes_are_asked_for(tmp_path):
    from tags2masks.detectors import learning

    path = tmp_path / "boxes.csv"
    spec = tiny()
    with pytest.raises(
        UserError, match="fasterrcnn learns from boxes; give their table as --boxes"
    ):
        learning.views(task(tmp_path, spec))
    index = task(tmp_path, spec).index
    write_boxes(path, box_table([], index))
    with pytest.raises(UserError, match=r"boxes\.csv: no training image has a box .*; add some"):
        learning.views(task(tmp_path, spec, boxes=path))
    write_boxes(path, box_table([Box("a", "cat", (0, 0, 3, 3), True, "")], index))
    assert len(learning.views(task(tmp_path, spec, boxes=path))) == 1
    with pytest.raises(UserError, match=r"no training image has a box .*; set difficult: keep"):
        learning.views(task(tmp_path, tiny(difficult="leave_out"), boxes=path))


def config(**changes) -> dict:
    """A config of a detector on digits."""
    block = {"method": "fasterrcnn"} | changes.pop("block", {})
    return {
        "datasets": {"d": {"kind": "digits"}} | changes.pop("datasets", {}),
        "detectors": {"boxes": block},
        "experiments": [f"{changes.pop('on', 'd')} / boxes"],
    } | changes


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            {"backbone": {"output_stride": 16}},
            "detectors.boxes.backbone: a feature pyramid is of strides 4 to 32; set output_stride",
        ),
        ({"backbone": {"name": "test_vit"}}, "backbone.name: test_vit has features of one stride"),
        ({"backbone": {"weights": None}}, "backbone.weights: null, but frozen_stages do not learn"),
        ({"proposals": {"background": 0.8}}, "background: 0.8 is above foreground, 0.7"),
        ({"anchors": {"sizes": [32, 64]}}, "anchors.sizes"),
    ],
)
def test_a_detector_that_cannot_be_is_refused(block, said):
    with pytest.raises(ConfigError, match=said):
        Catalog(config(block=block))


def test_a_data_set_without_boxes_is_refused(tmp_path):
    table = tmp_path / "tags.csv"
    table.write_text("image,tags,split\na.png,cat,train\n")
    mine = {"mine": {"kind": "folder", "images": str(tmp_path), "tags": str(table)}}
    said = r"detectors\.boxes: fasterrcnn learns from boxes, and datasets\.mine has none; name"
    with pytest.raises(ConfigError, match=said):
        Catalog(config(datasets=mine, on="mine"))


def test_supervision_is_boxes():
    (artifact,) = Catalog(config()).artifacts.values()
    assert artifact.stage == "detector" and artifact.supervision == ("boxes",)
    assert artifact.folder == f"results/d/detector/{artifact.id}" and Path(artifact.folder)
