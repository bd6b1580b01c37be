"""Every kind of stored features: odd sizes, the same twice, and training of a head on them.

Parametrised over METHODS: a new kind is tested when it is registered.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tags2masks.classifiers import learning
from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.classifiers import METHODS as CLASSIFIERS
from tags2masks.config.classifiers import Puzzle, Vanilla
from tags2masks.config.features import Pooled
from tags2masks.config.methods import METHODS
from tags2masks.config.project import parse_config
from tags2masks.data.index import images_sha, multi_hot, rows_of
from tags2masks.data.pooled import PooledViews
from tags2masks.data.views import plain_view
from tags2masks.errors import UserError
from tags2masks.features import pooled
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_module
from tags2masks.nets.backbones import create_backbone
from tags2masks.nets.classifier import Classifier
from tags2masks.store import Shard, write_shard
from tags2masks.task import Task
from tags2masks.training import epoch_batches, poly_rate
from tags2masks.workflow.artifacts import all_artifacts
from tags2masks.workflow.building import build_experiments
from tests.unit.test_every_trained_method import same_twice_and_when_killed, trained
from tests.unit.tiny import CLASSES, MADE, VIEWS, small, three_images

MACHINE = Machine(threads=1)
WEIGHTS = "weights.safetensors"
BACKBONES = {"ViT": "test_vit", "ResNet": "test_resnet"}
VIT = {"name": "test_vit", "weights": None}
FROZEN = {"backbone": {"name": "test_vit", "weights": WEIGHTS, "freeze": True}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Training images without a tag, of one class, of all; weights; their stored features."""
    folder = tmp_path_factory.mktemp("data")
    found = three_images(folder, [(), CLASSES[:1], CLASSES], [0])
    prepare(MACHINE, 1)
    backbone = create_backbone(Vanilla(**FROZEN, augment=VIEWS).backbone)
    save_file(backbone.state_dict(), folder / WEIGHTS)
    spec = small(CLASSIFIERS["vanilla"], **FROZEN).features
    rows = rows_of(found.index, "train")
    file = folder / "features.zarr.zip"
    write_shard(file, {"id": MADE}, images_sha(rows), stored(found, spec, backbone.state_dict()))
    return replace(found, files=found.files | {"features": [file]})


def stored(data, spec, weights=None):
    """The entries of all training images."""
    module = method_module("features", {"method": spec.method})
    prepare(MACHINE, 0)
    network = module.build(spec)
    if weights:
        network.backbone.load_state_dict(weights)
    return module.pooled(network, rows_of(data.index, "train"), data.folder, spec, MACHINE)


@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", METHODS["features"])
def test_features_are_in_form(data, method, backbone, mirror):
    spec = METHODS["features"][method](
        backbone={"name": BACKBONES[backbone]}, side=26, crop=32, mirror=mirror
    )
    found, again = (list(stored(data, spec)) for _ in range(2))
    assert [name for name, *_ in found] == rows_of(data.index, "train")["image"].tolist()
    for (_, vectors, _), (_, same_ones, _) in zip(found, again, strict=True):
        assert vectors.dtype == np.float32 and np.isfinite(vectors).all()
        assert vectors.shape[0] == 1 + mirror and vectors.ndim == 2
        np.testing.assert_array_equal(vectors, same_ones)


def test_pooled_by_hand(data):
    spec = Pooled(backbone={"name": "test_vit"}, side=26, crop=32, square=True)
    prepare(MACHINE, 0)
    network = pooled.build(spec)
    views = Vanilla(augment={"resize": (20, 32), "crop": 32, "square": True}).augment
    for name, vectors, _ in stored(data, spec):
        pixels = np.asarray(Image.open(data.folder / f"{name}.png"))
        view = plain_view(pixels, views, spec.backbone.mean)
        for number, seen in enumerate((view, view[:, ::-1])):
            image = torch.from_numpy(seen.copy()).permute(2, 0, 1)[None].float() / 255
            with torch.no_grad():
                maps = network.backbone.forward_features(network.normalize(image))
            mean = maps.sum((2, 3)) / 4  # of 2 × 2 patches
            torch.testing.assert_close(torch.from_numpy(vectors[number])[None], mean)


def test_a_head_learns_as_on_a_backbone_that_does_not(data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.folder)
    found, rows, _ = trained(data, tmp_path / "a", "classifiers", "vanilla", **FROZEN)
    spec = small(CLASSIFIERS["vanilla"], **FROZEN)
    # The plain formulation: every step sees images, and only the head has an optimizer.
    prepare(MACHINE, 3)
    network = Classifier(spec.backbone, len(CLASSES))
    network.backbone.load_state_dict(weights_in(data))
    network.eval()
    table = rows_of(data.index, "train")
    tags = torch.from_numpy(multi_hot(table["tags"], CLASSES))
    rate = spec.optimizer.lr * spec.optimizer.head_factor
    optimizer = torch.optim.SGD(
        network.head.parameters(),
        lr=rate,
        momentum=spec.optimizer.momentum,
        weight_decay=spec.optimizer.weight_decay,
    )
    done, losses = 0, []
    for epoch in range(spec.epochs):
        for draws in epoch_batches(3, spec.batch_size, 3, epoch, 0, 1):
            images = []
            for row, *seeds in draws:
                pixels = np.asarray(Image.open(data.folder / table["path"][row]))
                view = plain_view(pixels, spec.augment, spec.backbone.mean)
                mirrored = np.random.default_rng(seeds).random() < spec.augment.flip
                images.append((view[:, ::-1] if mirrored else view).copy())
            batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
            optimizer.param_groups[0]["lr"] = rate * poly_rate(done, spec.epochs, spec.optimizer)
            loss = tag_loss(network(batch), tags[[row for row, *_ in draws]], 0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            losses.append(loss.item())
    torch.testing.assert_close(found["head.weight"], network.head.weight.detach())
    assert [row["loss"] for row in rows] == pytest.approx(losses, abs=1e-5)
    for name, weight in weights_in(data).items():
        assert torch.equal(found[f"backbone.{name}"], weight)


def weights_in(data):
    """The weights of the file."""
    return load_file(data.folder / WEIGHTS)


def test_training_is_the_same_twice_and_when_killed(data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.folder)
    same_twice_and_when_killed(data, tmp_path, monkeypatch, "classifiers", "vanilla", **FROZEN)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_a_head_learns_in_mixed_precision(data, tmp_path, monkeypatch, precision):
    monkeypatch.chdir(data.folder)
    _, rows, _ = trained(data, tmp_path, "classifiers", "vanilla", **FROZEN, precision=precision)
    _, exact, _ = trained(data, tmp_path / "exact", "classifiers", "vanilla", **FROZEN)
    found, expected = ([row["loss"] for row in of] for of in (rows, exact))
    assert found == pytest.approx(expected, rel=0.01) and found != expected


def test_val_is_seen_once_and_measured_as_by_the_whole_network(data, tmp_path, monkeypatch):
    spec = small(Vanilla, **FROZEN)
    index = pd.concat([data.index, data.index.assign(split="val")], ignore_index=True)
    recipe = {"stage": "classifier", "method": "vanilla", "spec": spec.key() | {}, "seed": 0}
    recipe["spec"].pop("features")
    task = Task(recipe, index, CLASSES, data.folder, MACHINE, tmp_path / "model.safetensors")
    network = Classifier(spec.backbone, 3).eval()
    passes, forward = [], network.backbone.forward_features
    monkeypatch.setattr(
        network.backbone, "forward_features", lambda seen: passes.append(len(seen)) or forward(seen)
    )
    measured = learning.measure(task)
    with torch.no_grad():
        once, again = measured(network, 1), measured(network, 2)
        assert sum(passes) == len(task.rows("val"))
        plain = replace(task, recipe=recipe | {"spec": small(Vanilla, backbone=VIT).key()})
        assert once == again == pytest.approx(learning.measure(plain)(network, 1))


def test_flips_are_drawn_and_files_checked(data):
    rows = rows_of(data.index, "train")
    tags = multi_hot(rows["tags"], CLASSES)
    with Shard(data.files["features"][0], MADE, images_sha(rows)) as shard:
        (straight, mirrored), _ = shard.read(rows["image"][1])
    for flip, expected in ((0, straight), (1, mirrored)):
        views = PooledViews(rows, tags, data.files["features"], MADE, flip)
        assert len(views) == 3
        seen, target = views[1, 0, 0, 0]
        np.testing.assert_array_equal(seen.numpy(), expected)
        assert target.tolist() == [1, 0, 0]
    views = PooledViews(rows, tags, data.files["features"], MADE, 0.5)
    drawn = {tuple(views[1, 0, 0, place][0].tolist()) for place in range(20)}
    assert drawn == {tuple(straight.tolist()), tuple(mirrored.tolist())}
    with pytest.raises(UserError, match="its id is made-00000000, expected pooled-1"):
        PooledViews(rows, tags, data.files["features"], "pooled-1", 0.5)


def experiments_of(tmp_path, **vanilla):
    weights = tmp_path / WEIGHTS
    weights.touch()
    backbone = {"name": "test_vit", "weights": str(weights), "freeze": True}
    raw = {
        "datasets": {"d": {"kind": "digits"}},
        "classifiers": {
            "v": {"method": "vanilla", "backbone": backbone} | vanilla,
            "o": {"method": "occse", "ordinary": "v"},
        },
        "maps": {"cam": {"method": "cam"}},
        "experiments": ["d/v/cam", "d/o"],
    }
    return build_experiments(parse_config(raw))


def test_features_are_an_artifact_that_fields_of_the_head_do_not_change(tmp_path):
    chain, ordinary = experiments_of(tmp_path)
    classifier = chain.artifacts["classifier"]
    features = classifier.upstream["features"]
    assert chain.products[0][1] is features and features.upstream == {}
    assert features.id.startswith("pooled-") and features.supervision == ()
    assert classifier.recipe["upstream"] == {"features": features.id}
    assert "features" not in classifier.recipe["spec"]
    assert classifier.recipe["spec"]["backbone"]["freeze"] is True
    assert features.recipe["spec"] == {
        "method": "pooled",
        "backbone": Vanilla(backbone={"name": "test_vit", "weights": WEIGHTS}).backbone.key(),
        "side": 480,
        "crop": 512,
        "square": False,
        "mirror": True,
        "precision": "32-true",
    }
    assert ordinary.artifacts["classifier"].upstream["classifier"].id == classifier.id
    assert features.key in all_artifacts([ordinary])
    for change in ({"epochs": 9}, {"optimizer": {"lr": 1}}, {"augment": {"resize": (380, 580)}}):
        other = experiments_of(tmp_path, **change)[0].artifacts
        assert other["features"].id == features.id and other["classifier"].id != classifier.id
    other = experiments_of(tmp_path, augment={"flip": 0})[0].artifacts["features"]
    assert other.id != features.id and not other.block.mirror


@pytest.mark.parametrize(
    ("block", "values", "message"),
    [
        (Vanilla, {"weights": None}, "backbone.weights: null, but backbone.freeze is true"),
        (Vanilla, {"augment": {"jitter": (0.1, 0, 0, 0)}}, "augment.jitter: with backbone.freeze"),
        (Vanilla, {"augment": {"randaugment": 2}}, "augment.randaugment: with backbone.freeze"),
        (Vanilla, {"augment": {"perturb": "binary"}}, "augment.perturb: with backbone.freeze"),
        (Puzzle, {}, "backbone.freeze: puzzle does not learn from stored features"),
        (METHODS["affinity"]["irn"], {}, "backbone.freeze: irn does not learn from stored"),
    ],
)
def test_what_cannot_be_frozen_is_told(block, values, message):
    values = dict(values)
    backbone = {"name": "test_vit", "freeze": True, "weights": values.pop("weights", WEIGHTS)}
    with pytest.raises(ValueError, match=message):
        block(backbone=backbone, **values)
