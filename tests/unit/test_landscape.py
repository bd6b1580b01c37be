"""Loss landscapes: closed forms of linear networks, directions, restored weights."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tags2masks.analyses.landscape import (
    COLUMNS,
    image_directions,
    landscape,
    moved_weights,
    weight_directions,
)
from tags2masks.config.analyses import Landscape
from tags2masks.config.base import ConfigError
from tags2masks.config.project import parse_config
from tests.unit.test_config import BASE


class Linear(nn.Module):
    """y = w · x, summed over all values of the image: one logit."""

    def __init__(self, weights):
        super().__init__()
        self.weight = nn.Parameter(weights)

    def forward(self, images):
        return (images * self.weight).flatten(1).sum(1, keepdim=True)


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return Linear(torch.randn(1, 3, 4, 5, dtype=torch.float64)).requires_grad_(False)


def a_batch():
    torch.manual_seed(1)
    targets = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    return torch.rand(2, 3, 4, 5, dtype=torch.float64), targets, [5, 6]


def test_around_images_of_a_linear_model_in_closed_form(linear):
    """dℓ/dx = (σ(y) − t)·w: n = ±w/rms(w), and r ⟂ w changes nothing.

    So y(a, b) = y ± a·w·w/rms(w) = y ± a·60·rms(w): it falls for t 1, and the loss rises.
    """
    images, targets, seeds = a_batch()
    spec = Landscape(points=5, radius=0.1)
    table = landscape(linear, [(images, targets, seeds)], spec, 0)
    assert tuple(table) == COLUMNS and len(table) == 25 and (table["images"] == 2).all()
    rms = linear.weight.square().mean().sqrt()
    falls = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    logits = linear(images).flatten()
    for a in (-0.1, -0.05, 0, 0.05, 0.1):
        climbed = logits + falls * a * 60 * rms
        each = torch.stack([F.softplus(-climbed[0]), F.softplus(climbed[1])])
        rows = table[table["first"] == a]
        assert rows["second"].tolist() == [-0.1, -0.05, 0, 0.05, 0.1]
        np.testing.assert_allclose(rows["loss"], each.mean(), rtol=1e-9)
        np.testing.assert_allclose(rows["deviation"], each.std(correction=0), rtol=1e-9)


def test_directions_have_length_one_and_a_right_angle_and_are_an_images_own(linear):
    images, targets, seeds = a_batch()
    normal, random = image_directions(linear, images, targets, seeds)
    for direction in (normal, random):
        assert direction.square().mean((1, 2, 3)).tolist() == pytest.approx([1, 1])
    assert (normal * random).sum((1, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-12)
    _, alone = image_directions(linear, images[1:], targets[1:], seeds[1:])
    assert torch.equal(alone[0], random[1])


def test_without_a_slope_the_surface_is_flat_along_n():
    flat = Linear(torch.zeros(1, 3, 2, 2, dtype=torch.float64)).requires_grad_(False)
    images = torch.rand(1, 3, 2, 2, dtype=torch.float64)
    table = landscape(flat, [(images, torch.ones(1, 1).double(), [0])], Landscape(points=3), 0)
    assert table["loss"].tolist() == pytest.approx([np.log(2)] * 9)


def test_around_weights_of_a_linear_model_in_closed_form(linear):
    images, targets, seeds = a_batch()
    spec = Landscape(around=("weights",), points=3, weight_radius=0.5)
    ((weight, one, other),) = weight_directions(linear, 3)
    assert one.norm().item() == pytest.approx(weight.norm().item())
    before = linear.weight.clone()
    table = landscape(linear, [(images, targets, seeds)], spec, 3)
    assert torch.equal(linear.weight, before)
    for row in table.to_dict("records"):
        moved = before + row["first"] * one + row["second"] * other
        logits = (images * moved).sum((1, 2, 3))
        loss = (F.softplus(-logits[0]) + F.softplus(logits[1])) / 2
        assert row["loss"] == pytest.approx(loss.item(), rel=1e-9)


def test_filters_keep_their_norms_and_vectors_stay():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    found = weight_directions(network, 0)
    assert [weight.shape[0] for weight, _, _ in found] == [4, 2]  # no bias, no batch norm
    for weight, *pair in found:
        for direction in pair:
            norms = direction.flatten(1).norm(dim=1)
            torch.testing.assert_close(norms, weight.detach().flatten(1).norm(dim=1))
        assert not torch.equal(*pair)


def test_weights_are_restored_after_an_error(linear):
    before = linear.weight.clone()
    with pytest.raises(KeyError), moved_weights(weight_directions(linear, 0)) as move:
        move(1, -1)
        assert not torch.equal(linear.weight, before)
        raise KeyError
    assert torch.equal(linear.weight, before)


def test_both_surfaces_share_their_middle(linear):
    images, targets, seeds = a_batch()
    spec = Landscape(around=("images", "weights"), points=3)
    table = landscape(linear, [(images, targets, seeds)], spec, 0)
    middle = table[(table["first"] == 0) & (table["second"] == 0)]
    assert middle["around"].tolist() == ["images", "weights"]
    assert middle["loss"].iloc[0] == pytest.approx(middle["loss"].iloc[1])


def test_an_even_number_of_points_has_no_middle():
    raw = BASE | {"evaluation": {"landscape": {"points": 20}}}
    with pytest.raises(ConfigError, match="points: 20 is even; write an odd number"):
        parse_config(raw)
