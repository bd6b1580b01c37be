"""High-gradient ratios: by hand, on a linear network, by autograd, over RIB's steps."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tags2masks.analyses.gradients import (
    COLUMNS,
    gradient_table,
    image_maps,
    layer_maps,
    layers,
    ratios,
    relative,
    step_maps,
    table,
)
from tags2masks.config.analyses import Gradients
from tags2masks.config.climbing import Rib
from tags2masks.config.training import Augment, Backbone
from tags2masks.data.training_images import TrainingImages
from tags2masks.maps.rib import companions, trainable
from tags2masks.nets.classifier import Classifier

CONVNET = Backbone(
    name="convnet",
    args={"kernel": 1, "channels": 1, "layers": 2},
    mean=(0, 0, 0),
    std=(1, 1, 1),
    weights=None,
)


@pytest.fixture
def linear():
    """1 × 1 kernels: T_1 = relu(r + 2g − 3b), T_2 = relu(5·T_1), y = (2, −1)·mean T_2.

    Frozen, in float64.
    """
    network = Classifier(CONVNET, 2).double().eval()
    first, second = (layer for layer in network.backbone.layers if hasattr(layer, "weight"))
    with torch.no_grad():
        first.weight.copy_(torch.tensor([1.0, 2, -3]).view(1, 3, 1, 1))
        second.weight.fill_(5)
        network.head.weight.copy_(torch.tensor([2.0, -1]).view(2, 1, 1, 1))
    return network.requires_grad_(False)


def test_maps_of_a_linear_network_by_hand(linear):
    # Red, and blue, which the first layer cuts off.
    image = torch.zeros(1, 3, 1, 2, dtype=torch.float64)
    image[0, 0, 0, 0] = image[0, 2, 0, 1] = 0.5
    assert [t.flatten().tolist() for t in layers(linear, image)] == [[0.5, 0], [2.5, 0]]
    # The largest absolute gradient is blue's, 3; of the logit 2 · 5 · 3 / 2 pixels.
    assert layer_maps(linear, image, 0).tolist() == [[[3, 0]], [[15, 0]], [[15, 0]]]
    assert layer_maps(linear, image, 1)[-1].tolist() == [[7.5, 0]]


def test_maps_are_autograds_and_of_timms_stages():
    torch.manual_seed(0)
    network = Classifier(Backbone(name="test_resnet", output_stride=8), 3).double().eval()
    image = torch.rand(1, 3, 24, 24, dtype=torch.float64)
    found = layer_maps(network.requires_grad_(False), image, 1)
    stages = layers(network, image)
    assert len(found) == len(stages) + 1 and len(stages) > 2
    # Central differences of the last stage's sum, and of the logit, in one value.
    for place, function in (
        (-2, lambda x: layers(network, x)[-1].sum()),
        (-1, lambda x: network(x)[0, 1]),
    ):
        slopes = []
        for colour in range(3):
            change = torch.zeros_like(image)
            change[0, colour, 9, 13] = 1e-5
            slopes.append((function(image + change) - function(image - change)) / 2e-5)
        assert found[place, 9, 13] == pytest.approx(max(map(abs, map(float, slopes))), rel=1e-4)


def test_ratios_by_hand():
    maps = torch.tensor([[[10.0, 4, 2, 3.0]], [[2, 1, 0.5, 0]], [[0, 0, 0, 0]]])
    regions = np.array([[1, 1, 2, 0]], np.uint8)
    # Limits 3, 0.6 and 0; at the limit is not above.
    found = ratios(maps, regions, Gradients())
    assert found.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    # The first map's limit for all.
    first = ratios(maps, regions, Gradients(maximum="first", above=0.1))
    assert first.tolist() == [[1, 1, 1], [0.5, 0, 0], [0, 0, 0]]
    assert np.isnan(ratios(maps, np.zeros((1, 4), np.uint8), Gradients())[:, :2]).all()


def test_drawn_maps_are_in_units_of_the_limits_maximum():
    maps = torch.tensor([[[10.0, 4]], [[2, 1]], [[0, 0]]])
    assert relative(maps, Gradients())[:, 0].tolist() == [[1, 0.39990234375], [1, 0.5], [0, 0]]
    first = relative(maps, Gradients(maximum="first"))
    assert first[1, 0].tolist() == pytest.approx([0.2, 0.1], rel=1e-3)


def test_the_table_is_the_mean_over_images_that_have_the_step():
    found = [np.array([[1.0, 0, 0.5], [0, 0, 0]]), np.array([[0.5, 1, 0.5]])]
    rows = table("step", 0, found)
    assert rows.to_numpy().tolist() == [
        ["step", 0, "discriminative", 0.75, 2],
        ["step", 0, "non-discriminative", 0.5, 2],
        ["step", 0, "background", 0.5, 2],
        ["step", 1, "discriminative", 0, 1],
        ["step", 1, "non-discriminative", 0, 1],
        ["step", 1, "background", 0, 1],
    ]


@pytest.fixture
def training(tmp_path):
    rng = np.random.default_rng(0)
    tags = [("a",), ("b",), ("b",)]
    for number in range(3):
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    rows = pd.DataFrame({"path": [f"{n}.png" for n in range(3)], "tags": tags})
    return TrainingImages(rows.assign(height=20, width=24), tmp_path, ["a", "b"])


def test_steps_are_of_the_fine_tuned_weights(linear, training):
    """Without companions: a step of −λ∇L, L = −min(m, y_a), made by hand on the head."""
    image = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    spec = Rib(steps=1, lr=0.01, head_factor=10, pooling="gap", scales=(1.0,), flip=False)
    with trainable(linear):
        maps = step_maps(linear, image, 0, [], spec, training)
    plain = layer_maps(linear, image, 0)[-1]
    assert torch.equal(maps[0], plain) and len(maps) == 2
    # y = w·5·v·mean(relu(u·x)) with w 2, v 5: every weight climbs along its own derivative.
    moved = copy.deepcopy(linear).requires_grad_(True)
    moved(image)[0, 0].backward()
    with torch.no_grad():
        for name, weight in moved.named_parameters():
            weight += 0.01 * (10 if name.startswith("head") else 1) * weight.grad
    torch.testing.assert_close(maps[1], layer_maps(moved.requires_grad_(False), image, 0)[-1])


def test_the_weights_are_the_trained_ones_for_each_image(linear, training):
    torch.manual_seed(1)
    images = [torch.rand(1, 3, 4, 4, dtype=torch.float64) for _ in range(2)]
    regions = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 2, 2], [0, 0, 0, 0]], np.uint8)
    rib = Rib(steps=2, lr=0.1, companions=1, augment=Augment(resize=(20, 30), crop=24))
    rib = rib.model_copy(update={"scales": (1.0,), "flip": False})
    spec = Gradients()
    before = {name: value.clone() for name, value in linear.state_dict().items()}
    given = iter([(image, 0, regions, 7 + n) for n, image in enumerate(images)])
    linear.float()
    floats = iter([(i.float(), n, r, s) for i, n, r, s in given])
    found = gradient_table(image_maps(linear, floats, rib, training), spec)
    assert tuple(found) == COLUMNS and (found["images"] == 2).all()
    by = found.set_index(["over", "number", "region"])["ratio"]
    for number in (1, 2, 3):
        expected = np.mean(
            [ratios(layer_maps(linear, i.float(), 0), regions, spec)[number - 1] for i in images], 0
        )
        assert by.loc["layer", number].tolist() == pytest.approx(expected.tolist())
    assert by.loc["step", 0].tolist() == by.loc["layer", 3].tolist()
    assert found[found["over"] == "step"]["number"].max() == 2
    assert all(torch.equal(v.double(), before[n]) for n, v in linear.state_dict().items())
    assert companions(np.array([1, 2]), 7, rib)[0][0][0] in (1, 2)
