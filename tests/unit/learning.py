"""What the tests of classifiers share: drawn images, a training, that it resumes, and its maps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tags2masks.checkpoints import State
from tags2masks.config.climbing import AdvCam
from tags2masks.config.maps import Cam, Lpcam
from tags2masks.config.tag_training import TagTraining
from tags2masks.config.training import Backbone
from tags2masks.machine import Machine, prepare
from tags2masks.maps import advcam, cam, lpcam
from tags2masks.maps.batch import plain_batch
from tags2masks.methods import method_module
from tags2masks.nets.checkpoint import save_model
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.trained import load_trained
from tags2masks.prototypes.store import ClassPrototypes
from tags2masks.provenance import provenance, write_record
from tags2masks.training import fit
from tags2masks.workflow.ids import artifact_id

TINY = Backbone(name="test_resnet", output_stride=8)
CONVNET = Backbone(name="convnet", args={"kernel": 3, "channels": 4, "layers": 2})


class Scenes(torch.utils.data.Dataset):
    """Images drawn from their draw alone; the last one has no tag."""

    tags = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0]])

    def __init__(self, size: int):
        self.size = size

    def __len__(self):
        return len(self.tags)

    def __getitem__(self, draw):
        generator = torch.Generator().manual_seed(hash(draw) % 2**31)
        image = torch.randint(256, (3, self.size, self.size), generator=generator)
        return image.to(torch.uint8), self.tags[draw[0]]


def nothing(network: nn.Module, epoch: int) -> dict:
    """No measure after an epoch."""
    return {}


def trained(
    folder: Path, spec: TagTraining, measure: Callable = nothing
) -> tuple[dict[str, Tensor], list[dict]]:
    """The weights after a run of the spec's method on scenes, and its rows.

    They are named f.…; those of the ordinary classifier, which every method is given, oc.….
    """
    machine, module = Machine(threads=1), method_module("classifiers", {"method": spec.method})
    prepare(machine, 0)
    network, ordinary = module.build(spec, 3), Classifier(spec.backbone, 3)
    ordinary.requires_grad_(getattr(module, "ORDINARY_LEARNS", False))
    second = ordinary if hasattr(spec, "ordinary") else None
    rows = fit(
        network,
        Scenes(spec.augment.crop),
        module.step,
        spec,
        0,
        machine,
        State(folder, "f"),
        measure,
        second,
    )
    return weights_of(network, ordinary), rows


def weights_of(network: nn.Module, ordinary: nn.Module) -> dict[str, Tensor]:
    """All weights of both networks, named f.… and oc.…."""
    pairs = (("f", network), ("oc", ordinary))
    return {f"{net}.{name}": one for net, of in pairs for name, one in of.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether all weights are equal to the bit."""
    return all(torch.equal(one[name], other[name]) for name in one)


def resumed(folder: Path, spec: TagTraining) -> list[dict]:
    """The rows of a run, when one like it and one killed before its end gave the same bytes."""
    whole, rows = trained(folder / "whole", spec)
    assert same(whole, trained(folder / "again", spec)[0])
    epochs = []

    def kill(network, epoch):
        epochs.append(1)
        if len(epochs) == spec.epochs - 1:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        trained(folder / "killed", spec, kill)
    weights, again = trained(folder / "killed", spec)
    assert same(whole, weights)
    for row, other in zip(rows, again, strict=True):
        assert row | {"images_per_s": 0} == other | {"images_per_s": 0}
    return rows


def localized(folder: Path, spec: TagTraining) -> None:
    """A network of the spec is written and read, is the same then, and map methods can use it."""
    torch.manual_seed(0)
    network = method_module("classifiers", {"method": spec.method}).build(spec, 2)
    files = (folder / "model.safetensors", folder / "spec.json")
    save_model(network, files[0])
    recipe = {"stage": "classifier", "method": spec.method, "spec": spec.key(), "seed": 0}
    recipe["upstream"] = {}
    write_record(files[1], provenance(recipe) | {"classes": ["a", "b"]})
    loaded, _ = load_trained("classifier", *files, {"classifier": artifact_id(recipe)})
    images = torch.rand(2, 3, 40, 32)
    assert torch.equal(loaded(images), network.eval()(images))
    assert loaded(images).shape == (2, 2)
    batch = plain_batch(images, 2)
    vectors = np.random.default_rng(0).random((2, loaded.head.in_channels), np.float32)
    context, chosen = np.array([False, True]), np.array([True, True])
    one = ClassPrototypes(vectors, context, np.ones(2), chosen, np.ones(2, int), [[], []])
    with torch.no_grad():
        found = [
            cam.localize(loaded, batch, Cam()),
            advcam.localize(loaded, batch, AdvCam(steps=1)),
            lpcam.localize(loaded, batch, Lpcam(), prototypes=[one] * 2),
        ]
    for maps in found:
        assert maps.shape == (2, 2, 10, 8) and 0.9 < maps.max() <= 1
