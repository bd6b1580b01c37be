"""OC-CSE by hand: which class is drawn, what is erased, what the ordinary classifier then costs."""

import math

import pytest
import torch
import torch.nn.functional as F

from tags2masks.classifiers.occse import (
    draw_class,
    drawn_loss,
    erase,
    hard_share,
    soft_share,
    step,
)
from tags2masks.config.classifiers import Occse
from tags2masks.config.training import Backbone
from tags2masks.nets.classifier import Classifier
from tags2masks.training import Moment

BACKBONE = Backbone(name="convnet", args={"kernel": 3, "channels": 4, "layers": 2})
# Two images of two classes, maps of 1 × 2 cells; class 0 of the one and class 1 of the other.
MAPS = torch.tensor([[[[2.0, -1.0]], [[9.0, 9.0]]], [[[9.0, 9.0]], [[4.0, 1.0]]]])
DRAWN = torch.eye(2)


def test_the_class_drawn_by_hand():
    tags = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
    drawn = draw_class(tags, torch.tensor([0.49, 0.9, 0.99, 0.99]))
    assert drawn.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert draw_class(tags, torch.full((4,), 0.5)).tolist()[0] == [0, 0, 1]
    even = draw_class(torch.ones(600, 3), torch.arange(600) / 600)
    assert even.sum(0).tolist() == [200, 200, 200]


def test_random_numbers_are_of_the_moment_and_shared_by_processes():
    first = Moment(0, 0, (7, 2, 3)).uniform(6)
    assert torch.equal(first, Moment(0.5, 9, (7, 2, 3)).uniform(6))
    assert not torch.equal(first, Moment(0, 0, (7, 2, 4)).uniform(6))
    halves = [Moment(0, 0, (7, 2, 3), rank, 2).uniform(3) for rank in (0, 1)]
    assert torch.equal(torch.stack(halves, 1).flatten(), first)
    assert first.min() >= 0 and first.max() < 1


def test_soft_erasing_by_hand():
    over_batch = soft_share(MAPS, DRAWN, (1, 2), "batch")
    torch.testing.assert_close(over_batch[:, 0, 0], torch.tensor([[0.5, 0], [1, 0.25]]))
    each = soft_share(MAPS, DRAWN, (1, 2), "image")
    torch.testing.assert_close(each[:, 0, 0], torch.tensor([[1, 0], [1, 0.25]]))
    ramp = torch.tensor([[[[0.0, 4.0]]]])
    larger = soft_share(ramp, torch.ones(1, 1), (1, 4), "batch")
    torch.testing.assert_close(larger[0, 0, 0], torch.tensor([0, 0.25, 0.75, 1]))


def test_negative_scores_are_cut_off_before_the_map_is_enlarged():
    # Cells of −4 and 4: cut off first, the middle pixels are 1 and 3; afterwards, 0 and 2.
    maps, drawn = torch.tensor([[[[-4.0, 4.0]]]]), torch.ones(1, 1)
    soft = soft_share(maps, drawn, (1, 4), "batch")
    torch.testing.assert_close(soft[0, 0, 0], torch.tensor([0, 0.25, 0.75, 1]))
    assert hard_share(maps, drawn, (1, 4), 0.2)[0, 0, 0].tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("limit", "expected"), [(0.2, [[1, 0], [1, 1]]), (0.25, [[1, 0], [1, 0]]), (1, [[0, 0]] * 2)]
)
def test_hard_erasing_by_hand(limit, expected):
    assert hard_share(MAPS, DRAWN, (1, 2), limit)[:, 0, 0].tolist() == expected


def test_nothing_is_erased_where_no_class_is_drawn_or_none_is_seen():
    for share in (soft_share, hard_share):
        last = {soft_share: "image", hard_share: 0.2}[share]
        assert share(MAPS, DRAWN * 0, (2, 4), last).abs().max() == 0
        assert share(-MAPS.abs(), DRAWN, (2, 4), last).abs().max() == 0


def test_what_is_erased_takes_the_mean_colour():
    images, share = torch.rand(2, 3, 4, 4), torch.rand(2, 1, 4, 4)
    normalize = Classifier(BACKBONE, 2).normalize
    torch.testing.assert_close(
        normalize(erase(images, share, BACKBONE.mean)), normalize(images) * (1 - share)
    )
    assert erase(
        torch.ones(1, 3, 1, 1), torch.tensor([[[[0.25]]]]), (0.2, 0, 1)
    ).flatten().tolist() == (pytest.approx([0.8, 0.75, 1]))


def test_images_without_a_class_cost_nothing():
    logits = torch.tensor([[math.log(3), 0.0], [5.0, 5.0]], requires_grad=True)
    targets, drawn = torch.tensor([[0.0, 1], [0, 0]]), torch.tensor([[1.0, 0], [0, 0]])
    loss = drawn_loss(logits, targets, drawn, 0)
    assert loss.item() == pytest.approx((math.log(4) + math.log(2)) / 2 / 2)
    loss.backward()
    assert logits.grad[1].tolist() == [0, 0]
    assert drawn_loss(logits, targets, drawn * 0, 0).item() == 0


@pytest.mark.parametrize("maximum", ["batch", "image"])
def test_the_step_is_what_one_image_after_the_other_gives(maximum):
    torch.manual_seed(1)
    network, ordinary = Classifier(BACKBONE, 3), Classifier(BACKBONE, 3).requires_grad_(False)
    spec = Occse(backbone=BACKBONE, erase_max=maximum, label_smoothing=0.1)
    images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    tags = torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, 0]])
    moment = Moment(0.5, 3, (5, 0, 3), consult=ordinary)
    losses = step(network, [images, tags], moment, spec)

    x, smooth = images / 255, lambda y: y * 0.9 + 0.05
    drawn, total = [], 0.0
    for y, u in zip(tags.tolist(), moment.uniform(4).tolist(), strict=True):
        present = [k for k, tag in enumerate(y) if tag]
        drawn.append(present[int(u * len(present))] if present else None)
    maps = network.score_maps(network.features(x))
    own = {b: F.relu(maps[b, r]) for b, r in enumerate(drawn) if r is not None}
    largest = max(m.max() for m in own.values())
    for b, mask in own.items():
        psi = mask / ((largest if maximum == "batch" else mask.max()) + 1e-5)
        seen = ordinary.normalize(x[b]) * (1 - psi)
        seen = ordinary.logits(ordinary.backbone.forward_features(seen))
        rest = tags[b].clone()
        rest[drawn[b]] = 0
        total += F.binary_cross_entropy_with_logits(seen[0], smooth(rest))
    cls = F.binary_cross_entropy_with_logits(network(x), smooth(tags))
    torch.testing.assert_close(losses["cse"], total / 4)
    torch.testing.assert_close(losses["cls"], cls)
    torch.testing.assert_close(losses["loss"], cls + 0.65 * total / 4)
    assert losses["lambda_cse"] == pytest.approx(0.65)
    gradient = torch.autograd.grad(losses["cse"], network.head.weight, retain_graph=True)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(total / 4, network.head.weight)[0])
