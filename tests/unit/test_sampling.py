"""Importance sampling: draws against chances, losses by hand, eq. 9 as it stands, exact resume."""

import math
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tags2masks.classifiers.sampling import (
    build,
    class_loss,
    draw,
    equivariance,
    pool,
    similarity_loss,
    step,
    to_logits,
    to_maps,
    uniforms,
    unlike,
)
from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.classifiers import Sampling
from tags2masks.config.tag_training import TagAugment
from tags2masks.config.training import Optimizer
from tags2masks.errors import UserError
from tags2masks.training import Moment
from tests.unit.learning import CONVNET, TINY, localized, resumed


def spec_of(**changes):
    """A short run of a tiny network."""
    values = {"backbone": TINY, "epochs": 3, "batch_size": 2, "scale": 0.5, "window": 4}
    optimizer = Optimizer(lr=0.02, head_factor=2, momentum=0.9)
    return Sampling(**values | {"augment": TagAugment(crop=32), "optimizer": optimizer} | changes)


# -- drawing ---------------------------------------------------------------------------------------


def test_draws_by_hand():
    """Mass 0, 1, 0, 3 of the first class: 0 to a quarter gives the 1; gradients go into values."""
    maps = torch.tensor([[[[0.0, 1.0], [0.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]]], requires_grad=True)
    uniform = torch.tensor([[[0.0, 0.2499, 0.25, 0.9999], [0.0, 0.5, 0.9, 0.9999]]])
    found = draw(maps, uniform)
    assert found.tolist() == [[[1, 1, 3, 3], [0, 0, 0, 0]]]
    found[0, 0].sum().backward()
    assert maps.grad[0, 0].tolist() == [[0, 2], [0, 2]]


def test_cells_are_drawn_as_often_as_the_map_says():
    """Pearson's chi-squared of 24000 draws of a step; 29.6 is exceeded once in a thousand."""
    rng = np.random.default_rng(0)
    chances = torch.from_numpy(rng.dirichlet(np.ones(11), 2))
    maps = torch.cat([chances, torch.zeros(2, 1)], 1).view(1, 2, 3, 4)
    uniform = uniforms(Moment(0, 0, (3, 1, 4)), 1, (2, 24000))
    found = draw(maps, uniform)[0]
    for row, values in zip(chances, found, strict=True):
        counts = torch.stack([(values == value).sum() for value in row])
        assert counts.sum() == 24000
        assert ((counts - 24000 * row).square() / (24000 * row)).sum() < 29.6


def test_random_numbers_are_of_the_moment_and_shared_by_processes():
    whole = uniforms(Moment(0, 0, (7, 2, 3)), 4, (2, 3))
    assert torch.equal(whole, uniforms(Moment(0.5, 9, (7, 2, 3)), 4, (2, 3)))
    assert not torch.equal(whole, uniforms(Moment(0, 0, (7, 2, 4)), 4, (2, 3)))
    halves = [uniforms(Moment(0, 0, (7, 2, 3), rank, 2), 2, (2, 3)) for rank in (0, 1)]
    assert torch.equal(torch.stack(halves, 1).flatten(0, 1), whole)
    assert len(whole.flatten().unique()) == 24


# -- losses ----------------------------------------------------------------------------------------


def test_predictions_by_hand():
    found = to_logits(torch.tensor([0.0, 0.5, 1.0]))
    expected = [math.log(0.001), math.log(0.5005 / 0.5005), math.log(1 / 0.001)]
    assert found.tolist() == pytest.approx(expected, rel=1e-3, abs=1e-3)
    # Background 0, class ln 3 then −ln 3: probabilities 3/4 and 1/4, mean logit 0.
    logits = torch.tensor([[[[0.0, 0.0]], [[math.log(3), -math.log(3)]]]])
    assert pool(logits, "gap").item() == pytest.approx(0, abs=1e-6)
    p = 0.75 * 0.999
    assert pool(logits, "gmp").item() == pytest.approx(math.log((p + 0.001) / (1 - p)), rel=1e-4)


def test_maps_without_softmax_by_hand():
    # Two classes, two cells: σ(ln 3) = 3/4, σ(0) = 1/2, σ(−ln 3) = 1/4.
    logits = torch.tensor([[[[math.log(3), 0.0]], [[-math.log(3), 0.0]]]])
    maps = to_maps(logits, "sigmoid")
    torch.testing.assert_close(maps[0, :, 0], torch.tensor([[0.25, 0.5], [0.75, 0.5], [0.25, 0.5]]))
    assert pool(logits, "gap", "sigmoid")[0].tolist() == pytest.approx(
        [math.log(3) / 2, -math.log(3) / 2]
    )
    highest = to_logits(torch.tensor([0.75, 0.5]))
    torch.testing.assert_close(pool(logits, "gmp", "sigmoid")[0], highest)
    # Importance sampling alone: class 0's draw is its first cell, of 0.75 of 1.25, then its second.
    spec = spec_of(normalization="sigmoid", lambda_sampled=1)
    uniform = torch.tensor([[[0.59], [0.99]]])
    loss = class_loss(logits, torch.tensor([[1.0, 0.0]]), uniform, spec)
    drawn = to_logits(torch.tensor([[0.75, 0.5]]))
    torch.testing.assert_close(loss, tag_loss(drawn, torch.tensor([[1.0, 0.0]]), 0))


def test_each_loss_stands_alone_without_softmax():
    torch.manual_seed(0)
    batch = [torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8), torch.eye(3)[:2]]
    moment = Moment(0, 0, (5, 0, 1))
    spec = spec_of(normalization="sigmoid", equivariance_weight=0)
    network = build(spec, 3).eval()
    assert network.background is None
    images = batch[0] / 255
    scores = network.score_maps(network.features(images))
    torch.testing.assert_close(scores, network.head(network.features(images)))
    (logits, refined), *_ = network.judge_all(images)[0]
    torch.testing.assert_close(logits, scores, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network.refined_maps(images), refined.sigmoid())

    def losses(**changes):
        return step(network, batch, moment, spec.model_copy(update=changes))

    both = losses()
    sampling = losses(similarity_weight=0)
    similarity = losses(lambda_sampled=0)
    torch.testing.assert_close(sampling["loss"], both["cls"])
    torch.testing.assert_close(similarity["loss"], similarity["cls"] + both["fs"])
    # Without sampling the class loss is GAP's, of both sizes.
    smaller = F.interpolate(images, (16, 16), mode="bilinear", align_corners=False)
    pooled = [network.score_maps(network.features(one)).mean((2, 3)) for one in (images, smaller)]
    torch.testing.assert_close(
        similarity["cls"], sum(tag_loss(one, batch[1], 0) for one in pooled) / 2
    )


@pytest.mark.parametrize("tag", [0.0, 1.0])
def test_the_classification_loss_by_hand(tag):
    """Draws of 3/4 and of 1/4; the pooled logit is 0: (1 − λ)·ln 2 + λ·mean of both."""
    logits = torch.tensor([[[[0.0, 0.0]], [[math.log(3), -math.log(3)]]]])
    spec = spec_of(samples=2, lambda_sampled=0.8)
    found = class_loss(logits, torch.tensor([[tag]]), torch.tensor([[[0.7, 0.8]]]), spec)

    def chance(p):
        return (p * 0.999 + 0.001) / 1.001  # what the clamped logit stands for

    costs = [-math.log(chance(p) if tag else 1 - chance(p)) for p in (0.75, 0.25)]
    expected = 0.2 * math.log(2) + 0.8 * sum(costs) / 2
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_unlikeness_is_equation_12():
    delta, mu = torch.tensor([0.01, 0.2, 0.5, 0.9]), torch.tensor(2.5)
    torch.testing.assert_close(unlike(delta, mu), torch.tanh(mu + (delta / (1 - delta)).log()))
    assert unlike(torch.tensor([0.0, 1.0]), mu).tolist() == [-1, 1]
    assert unlike(torch.tensor([1.3]), mu).tolist() == [1]  # of views with noise


@pytest.mark.parametrize(
    "mean, window, width",
    [("pairs", 20, 6), ("cells", 20, 6), ("cells", 3, 15), ("cells", 2, 4)],
)
def test_feature_similarity_is_the_plain_double_sum(mean, window, width):
    """Of all cells nearer than the window, also where a row is longer than what is done at once."""
    torch.manual_seed(0)
    maps = torch.randn(2, 4, 5, width).softmax(1).requires_grad_()
    images = torch.rand(2, 3, 5, width)
    images[:, :, 2:, 3:] = 0.5  # cells that look the same
    sigma = torch.tensor(2.0, requires_grad=True)
    mu = torch.tensor(1.5, requires_grad=True)
    found = similarity_loss(maps, images, sigma, mu, window, mean)
    total = 0.0
    places = [(y, x) for y in range(5) for x in range(width)]
    for b in range(2):
        for (yi, xi), (yj, xj) in product(places, places):
            far = (yi - yj) ** 2 + (xi - xj) ** 2
            if far >= window**2:
                continue
            w = torch.exp(-far / (2 * sigma**2)) / (2 * math.pi * sigma**2)
            g = (maps[b, :, yi, xi] - maps[b, :, yj, xj]).square().sum() / 2
            delta = (images[b, :, yi, xi] - images[b, :, yj, xj]).abs().sum() / 3
            f = torch.tanh(mu + torch.logit(delta)) if delta > 0 else -1
            total = total - w * g * f
    cells = len(places)
    expected = total / 2 / (cells * cells if mean == "pairs" else cells)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    for one, other in zip(
        torch.autograd.grad(found, (maps, sigma, mu)),
        torch.autograd.grad(expected, (maps, sigma, mu)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_the_window_leaves_out_what_is_beyond():
    """Two different cells at distance 3: no pair within 3, one pair within 4."""
    maps = torch.zeros(1, 2, 1, 4)
    maps[0, 0, 0, 0] = maps[0, 1, 0, 3] = 1
    images, one = torch.zeros(1, 3, 1, 4), torch.tensor(1.0)
    near = similarity_loss(maps, images, one, one, 3, "cells").item()
    every = similarity_loss(maps, images, one, one, 4, "cells").item()
    # The cell at 3 differs by √2 from the first, so g is 1; f is −1; both orders; 4 cells.
    assert every - near == pytest.approx(2 * math.exp(-4.5) / (2 * math.pi) / 4, rel=1e-4)


def test_equivariance_by_hand():
    one, one_refined, other, other_refined = (
        torch.full((1, 2, 2, 2), v) for v in (0.0, 1.0, 3.0, 7.0)
    )
    er, ecr = equivariance([one, one_refined], [other, other_refined])
    assert (er.item(), ecr.item()) == (3 + 6 + 1 + 4, 7 + 2)


# -- the network -----------------------------------------------------------------------------------


def test_maps_are_log_odds_against_the_background():
    torch.manual_seed(0)
    network = build(spec_of(), 3).eval()
    images = torch.rand(2, 3, 32, 40)
    ((logits, refined), _), sigma, mu = network.judge_all(images, images)
    scores = network.score_maps(network.features(images))
    torch.testing.assert_close(scores, logits[:, 1:] - logits[:, :1])
    torch.testing.assert_close(network(images), scores.mean((2, 3)), atol=1e-5, rtol=1e-4)
    odds = logits.softmax(1)
    torch.testing.assert_close(scores, (odds[:, 1:] / odds[:, :1]).log(), atol=1e-5, rtol=1e-4)
    assert refined.shape == logits.shape == (2, 4, *scores.shape[-2:])
    assert (sigma.item(), mu.item()) == (pytest.approx(5), 2.5)


def test_the_step_of_a_plain_network_by_its_parts():
    torch.manual_seed(0)
    spec = spec_of(host="plain", backbone=CONVNET, dropout=0, similarity_mean="cells")
    network = build(spec, 3)
    batch = [torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8), torch.eye(3)[:2]]
    moment = Moment(0, 0, (5, 0, 1))
    found = step(network, batch, moment, spec)
    features = network.features(batch[0] / 255)
    logits = torch.cat([network.background(features), network.head(features)], 1)
    drawn = draw(logits.softmax(1)[:, 1:], uniforms(moment, 2, (1, 3, 1))[:, 0])[..., 0]
    cls = 0.2 * tag_loss(logits[:, 1:].mean((2, 3)), batch[1], 0)
    cls = cls + 0.8 * tag_loss(to_logits(drawn), batch[1], 0)
    numbers = (torch.tensor(5.0), torch.tensor(2.5))
    fs = similarity_loss(logits.softmax(1), batch[0] / 255, *numbers, 4, "cells")
    torch.testing.assert_close(found["cls"], cls)
    torch.testing.assert_close(found["fs"], fs)
    torch.testing.assert_close(found["loss"], cls + fs)
    assert "er" not in found
    found["loss"].backward()
    assert network.mu.grad != 0 and network.log_sigma.grad != 0


def test_the_step_on_seam_adds_its_losses():
    torch.manual_seed(0)
    batch = [torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8), torch.eye(3)[:2]]
    network = build(spec_of(), 3).eval()
    moment = Moment(0, 0, (5, 0, 1))
    found = step(network, batch, moment, spec_of())
    images = batch[0] / 255
    smaller = F.interpolate(images, (16, 16), mode="bilinear", align_corners=False)
    (one, other), _, _ = network.judge_all(images, smaller)
    er, ecr = equivariance([m.softmax(1) for m in one], [m.softmax(1) for m in other])
    torch.testing.assert_close(found["er"], er)
    torch.testing.assert_close(found["ecr"], ecr)
    total = found["cls"] + found["fs"] + er + ecr
    torch.testing.assert_close(found["loss"], total)
    less = step(network, batch, moment, spec_of(equivariance_weight=0.3))
    torch.testing.assert_close(found["loss"] - less["loss"], 0.7 * (er + ecr))
    more = step(network, batch, moment, spec_of(refined_pooling="gap"))
    of_refined = sum(tag_loss(m[1][:, 1:].mean((2, 3)), batch[1], 0) for m in (one, other)) / 2
    torch.testing.assert_close(more["cls"] - found["cls"], of_refined, atol=1e-5, rtol=1e-4)


def test_what_a_backbone_cannot_give_is_told():
    with pytest.raises(UserError, match="does not give the features of 3 stages"):
        build(spec_of(backbone=CONVNET), 2)
    with pytest.raises(ValueError, match="taps are two stages counted from the last"):
        spec_of(taps=(2, 3))


# -- training and maps -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{}, {"host": "plain", "pooling": "gmp", "lambda_sampled": 1}], ids=["seam", "plain"]
)
def test_a_killed_run_resumes_to_the_same_bytes(tmp_path, changes):
    rows = resumed(tmp_path, spec_of(**changes))
    assert rows[-1]["mu"] != 2.5 and rows[-1]["sigma"] != 5


@pytest.mark.parametrize("normalization", ["softmax", "sigmoid"])
@pytest.mark.parametrize("host", ["seam", "plain"])
def test_a_trained_network_gives_maps(tmp_path, host, normalization):
    localized(tmp_path, spec_of(host=host, normalization=normalization))
