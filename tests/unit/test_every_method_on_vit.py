"""Every method on a vision transformer, or refused at once: odd sizes, the same twice, a kill.

Parametrised over METHODS, with the checks of the other tests/unit/test_every_*.py.
"""

import pytest
import torch

from tags2masks.config.methods import METHODS
from tags2masks.config.training import Backbone
from tags2masks.machine import Machine, prepare
from tests.unit import (
    test_every_map_method,
    test_every_mask_method,
    test_every_trained_method,
)
from tests.unit.test_every_map_method import LOCALIZING, giver
from tests.unit.test_every_trained_method import EVERY
from tests.unit.tiny import CLASSES, small, three_images

VIT = {"name": "test_vit", "weights": None}
# What a vision transformer has no pyramid for.
REFUSED = {
    ("detectors", "fasterrcnn"),
    ("segmenters", "deeplabv3plus"),
    ("segmenters", "maskrcnn"),
    ("segmenters", "mixed"),
    ("segmenters", "upernet"),
    ("saliency_networks", "refined"),
}
TRAINED = [pair for pair in EVERY if pair not in REFUSED]
SEGMENTERS = [method for package, method in TRAINED if package == "segmenters"]
WALKED = [method for method, block in METHODS["masks"].items() if "affinity" in block.model_fields]


@pytest.fixture(autouse=True)
def _repeatable():
    prepare(Machine(threads=1), 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Training images without a tag, of one class, of all."""
    tags = [(), CLASSES[:1], CLASSES]
    return three_images(tmp_path_factory.mktemp("data"), tags, [0, 1, 2, 3, 255], backbone=VIT)


@pytest.fixture(scope="module")
def given(data):
    """The networks of classifiers on a vision transformer, and helpers."""
    return giver(data, backbone=VIT)


@pytest.mark.parametrize(("package", "method"), sorted(REFUSED))
def test_a_method_that_needs_several_strides_refuses(package, method):
    assert METHODS[package][method].backbone_needs == ("several_strides",)
    with pytest.raises(ValueError, match="test_vit has features of one stride"):
        small(METHODS[package][method], backbone=VIT)


@pytest.mark.parametrize(("package", "method"), TRAINED)
def test_a_training_is_the_same_twice_and_when_killed(data, tmp_path, monkeypatch, package, method):
    test_every_trained_method.same_twice_and_when_killed(
        data, tmp_path, monkeypatch, package, method, backbone=VIT
    )


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
@pytest.mark.parametrize(
    ("package", "method"),
    [("classifiers", "vanilla"), ("classifiers", "seam"), ("segmenters", "dpt")],
)
def test_mixed_precision_trains(data, tmp_path, package, method, precision):
    test_every_trained_method.trained(
        data, tmp_path, package, method, backbone=VIT, precision=precision
    )


@pytest.mark.parametrize("case", ["1x40", "37x53", "one image", "weights of zeros"])
@pytest.mark.parametrize("method", LOCALIZING)
def test_maps_are_in_form(given, method, case):
    test_every_map_method.check(given, small(METHODS["maps"][method]), case)


def test_maps_of_a_training_with_patches_of_14(data):
    vit = {
        "name": "vit_small_patch14_dinov2",
        "args": {"img_size": 56, "depth": 4, "embed_dim": 12, "num_heads": 2},
    }
    assert Backbone(**vit).patch == 14
    given = giver(data, backbone=vit, augment={"crop": 28})
    for method in ("cam", "pcm", "lpcam", "saliency"):
        test_every_map_method.check(given, small(METHODS["maps"][method]), "37x53")


@pytest.mark.parametrize("method", WALKED)
def test_a_walk_on_the_stages_of_one_stride(tmp_path, method):
    spec = small(METHODS["masks"][method])
    values = spec.affinity.model_dump() | {"backbone": VIT}
    spec = small(METHODS["masks"][method], affinity=values)
    assert spec.affinity.backbone.patch == 16
    test_every_mask_method.check(spec, (37, 53), "random", [7, 2, 20], tmp_path)


@pytest.mark.parametrize("method", SEGMENTERS)
def test_predictions_are_in_form(data, method):
    test_every_trained_method.predicted(data, small(METHODS["segmenters"][method], backbone=VIT))


def test_gradcam_of_a_linear_head_is_cam(given):
    network, _ = given(small(METHODS["maps"]["cam"]), test_every_map_method.nothing_learned)
    batch = test_every_map_method.batch_of((37, 53), [[True] * 3] * 2, 1)
    found = [
        test_every_map_method.method_module("maps", {"method": method}).localize(
            network, batch, small(METHODS["maps"][method])
        )
        for method in ("cam", "gradcam")
    ]
    torch.testing.assert_close(*found, atol=1e-3, rtol=0)
