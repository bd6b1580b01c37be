"""The inter-pixel relation network, and the masks that it makes."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tags2masks.affinity import irn
from tags2masks.affinity.losses import affinity_loss
from tags2masks.affinity.pairs import half_disc
from tags2masks.config.affinity import IrnTraining
from tags2masks.config.masks import Irn
from tags2masks.config.training import Backbone
from tags2masks.training import Moment
from tags2masks.walks import irn as walks

SPEC = IrnTraining(backbone=Backbone(name="test_resnet", weights=None), radius=3)


def built() -> irn.EdgeDisplacement:
    torch.manual_seed(0)
    return irn.build(SPEC, 5)


def test_affinity_by_hand():
    edges = torch.tensor([[0.1, 0.7, 0.2, 0.4]], requires_grad=True)
    found = irn.affinity(edges, (0, 2))
    np.testing.assert_allclose(found.detach(), [[0.3, 0.3]], atol=1e-6)
    found.sum().backward()
    assert edges.grad.tolist() == [[0, -2, 0, 0]]
    np.testing.assert_allclose(irn.affinity(edges, (0, 1)).detach(), [[0.3, 0.3, 0.6]], atol=1e-6)


def losses(edges, displacements, labels, offsets) -> dict[str, Tensor]:
    affinities = [irn.affinity(edges, offset) for offset in offsets]
    boundary, accuracy = affinity_loss(affinities, labels, offsets)
    displacement = irn.displacement_loss(displacements, labels, offsets)
    return {"boundary": boundary, "displacement": displacement, "pair_accuracy": accuracy}


def test_losses_by_hand():
    edges = torch.tensor([[[0.1, 0.2, 0.5, 0.3]]])
    displacements = torch.zeros(1, 2, 1, 4)
    displacements[0, 1, 0] = torch.tensor([0.5, 0.1, 0.0, -1.0])
    labels = torch.tensor([[[0, 0, 3, 3]]])
    found = losses(edges, displacements, labels, [(0, 1)])
    boundary = -(np.log(0.8) + np.log(0.5)) / 4 - np.log(0.5) / 2
    # background: |0.5 - 0.1| over two directions; class 3: 0 + 1 is the way, so 1 - 1 is wrong by 0
    displacement = (0.4 / 2 + 0) / 2
    assert found["boundary"] == pytest.approx(boundary, abs=1e-4)
    assert found["displacement"] == pytest.approx(displacement, abs=1e-4)
    assert found["pair_accuracy"] == pytest.approx((1 / 2 + 1) / 2, abs=1e-4)


def plain_losses(edges: Tensor, displacements: Tensor, labels: Tensor, radius: int) -> dict:
    """Pair by pair, the path's cells by their distance from the line."""
    batch, height, width = labels.shape
    kinds: dict[str, list[float]] = {name: [] for name in ("bg", "fg", "neg", "dfg", "dbg")}
    cells = [(b, y, x) for b in range(batch) for y in range(height) for x in range(width)]
    for b, y, x in cells:
        for c, v, u in cells:
            dy, dx = v - y, u - x
            squared = dy * dy + dx * dx
            if c != b or not 0 < squared < radius * radius or (dy, dx) < (0, 0):
                continue
            one, two = labels[b, y, x].item(), labels[b, v, u].item()
            if 255 in (one, two):
                continue
            between = [
                edges[b, j, i].item()
                for j in range(y, v + 1)
                for i in range(min(x, u), max(x, u) + 1)
                if abs(dy * (i - x) - dx * (j - y)) / squared**0.5 < 1
            ]
            close = 1 - max(between)
            apart = (displacements[b, :, y, x] - displacements[b, :, v, u]).tolist()
            if one != two:
                kinds["neg"].append(-np.log(1 - close + 1e-5))
                continue
            kinds["fg" if one else "bg"].append(-np.log(close + 1e-5))
            way = (dy, dx) if one else (0, 0)
            wrong = (abs(apart[0] - way[0]) + abs(apart[1] - way[1])) / 2
            kinds["dfg" if one else "dbg"].append(wrong)
    mean = {name: np.mean(values) if values else 0.0 for name, values in kinds.items()}
    return {
        "boundary": (mean["bg"] + mean["fg"]) / 4 + mean["neg"] / 2,
        "displacement": (mean["dfg"] + mean["dbg"]) / 2,
    }


def test_losses_equal_the_plain_ones():
    generator = torch.Generator().manual_seed(0)
    edges = torch.rand(2, 5, 7, generator=generator)
    displacements = torch.randn(2, 2, 5, 7, generator=generator)
    labels = torch.tensor([0, 0, 1, 2, 255])[torch.randint(5, (2, 5, 7), generator=generator)]
    found = losses(edges, displacements, labels, half_disc(4))
    plain = plain_losses(edges, displacements, labels, 4)
    assert found["boundary"] == pytest.approx(plain["boundary"], abs=1e-4)
    assert found["displacement"] == pytest.approx(plain["displacement"], abs=1e-4)


@pytest.mark.parametrize("value", [255, 0, 1])
def test_labels_of_one_kind_give_a_finite_loss(value):
    network = built().train()
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    labels = torch.full((2, 32, 32), value, dtype=torch.uint8)
    found = irn.step(network, [images, labels], Moment(0, 0, (0, 0, 0)), SPEC)
    found["loss"].backward()
    gradients = [p.grad for p in network.parameters() if p.requires_grad]
    assert all(torch.isfinite(g).all() for g in gradients if g is not None)
    assert (found["loss"] == 0) == (value == 255)


@pytest.mark.parametrize("size", [(1, 1), (33, 50), (64, 64), (17, 5)])
def test_shapes_at_any_size(size):
    network = built().eval()
    with torch.no_grad():
        logits, displacements = network(torch.rand(1, 3, *size))
    small = (-(-size[0] // 4), -(-size[1] // 4))
    assert logits.shape == (1, 1, *small) and displacements.shape == (1, 2, *small)


def test_the_second_displacement_branch_has_sixteen_groups():
    network = built()
    branches = [one[1] for one in network.displacements]
    assert [(norm.num_groups, norm.num_channels) for norm in branches] == [
        (8, 64), (16, 128), (16, 256), (16, 256), (16, 256)
    ]  # fmt: skip
    # By hand: of 128 channels every 8 have mean 0 and deviation 1, not every 16.
    taps = torch.rand(1, network.displacements[1][0].in_channels, 3, 4) * 9
    found = network.displacements[1](taps)[0].detach().reshape(16, -1)
    torch.testing.assert_close(found.mean(1), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(1, correction=0), torch.ones(16), atol=1e-3, rtol=0)


def test_boundaries_alone_are_the_same_boundaries():
    whole, alone = built(), irn.build(SPEC.model_copy(update={"displacement": False}), 5)
    left_out = ("displacement", "displacements.", "merge", "mean_displacement")
    kept = {n: t for n, t in whole.state_dict().items() if not n.startswith(left_out)}
    alone.load_state_dict(kept)
    assert alone.head_parameters() == [] and len(kept) < len(whole.state_dict())
    images = torch.randint(256, (2, 3, 32, 24), dtype=torch.uint8)
    labels = torch.randint(3, (2, 32, 24)).to(torch.uint8)
    moment, spec = Moment(0, 0, (0, 0, 0)), SPEC.model_copy(update={"displacement": False})
    both = irn.step(whole.train(), [images, labels], moment, SPEC)
    one = irn.step(alone.train(), [images, labels], moment, spec)
    assert set(one) == {"loss", "boundary", "pair_accuracy"}
    torch.testing.assert_close(one["loss"], both["boundary"])
    torch.testing.assert_close(both["loss"], one["loss"] + both["displacement"])
    irn.centre(alone, [images])
    # The walk needs boundaries alone.
    maps = [np.random.default_rng(0).random((1, 8, 6)).astype(np.float16)] * 2
    with torch.no_grad():
        assert alone.eval()(images / 255)[1] is None
        [(first, _), _] = walks.refine(alone, images / 255, maps, Irn(radius=3, steps=4))
        [(again, _), _] = walks.refine(whole.eval(), images / 255, maps, Irn(radius=3, steps=4))
    np.testing.assert_allclose(first, again, atol=1e-6)


def test_instances_without_displacements_are_refused():
    with pytest.raises(ValidationError) as error:
        Irn(instances=True, affinity={"displacement": False})
    assert (
        "instances are told apart by displacements: set affinity.displacement to true, or "
        "instances to false" in str(error.value)
    )


def test_finer_maps_are_pooled_by_hand():
    features = torch.arange(20.0).view(1, 1, 4, 5)
    found = irn.pooled(features, (2, 3))[0, 0]
    assert found.tolist() == [[6, 8, 9], [16, 18, 19]]
    assert irn.pooled(features, (4, 5)) is features
    assert irn.pooled(features, (8, 10)) is features


def test_the_backbone_is_not_trained():
    network = built().train()
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trained and not any(name.startswith("backbone.") for name in trained)
    fast = {id(p) for p in network.head_parameters()}
    named = dict(network.named_parameters())
    slow = {n for n in trained if id(named[n]) not in fast}
    assert slow == {n for n in trained if n.startswith(("edge.", "edges."))}


def test_the_mean_displacement_is_taken_off():
    network = built()
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    irn.centre(network, [images[:2], images[2:]])
    assert network.mean_displacement.abs().max() > 1e-4
    with torch.no_grad():
        mean = network(images.float() / 255)[1].mean((0, 2, 3))
    np.testing.assert_allclose(mean, 0, atol=1e-5)


def test_instances_by_hand():
    displacements = np.zeros((2, 5, 12))
    columns = np.arange(12)
    displacements[1] = np.where(columns < 6, 2 - columns, 9 - columns)  # to column 2, to column 9
    displacements[0] = (2 - np.arange(5))[:, None]
    found = walks.instances(displacements)
    left, right = found[:, :6], found[:, 6:]
    assert (left == left[0, 0]).all() and (right == right[0, 0]).all()
    assert left[0, 0] != right[0, 0] and 0 not in (left[0, 0], right[0, 0])


@pytest.mark.parametrize("flip", [False, True])
def test_refined_maps(flip):
    network = built().eval()
    images = torch.rand(2, 3, 32, 24)
    maps = [np.random.default_rng(0).random((2, 8, 6)).astype(np.float16), np.zeros((0, 8, 6))]
    spec = Irn(flip=flip, radius=3, steps=16)
    with torch.no_grad():
        (scores, of_class), (none, of_none) = walks.refine(network, images, maps, spec)
        edges, _ = walks.relations(network, images, flip)
    assert scores.shape == (2, 8, 6) and of_class.tolist() == [0, 1]
    assert none.shape == (0, 8, 6) and len(of_none) == 0
    again = walks.walked(torch.from_numpy(maps[0]).float(), edges[0], spec)
    np.testing.assert_allclose(scores, again, atol=1e-6)
    if flip:
        with torch.no_grad():
            mirrored, _ = walks.relations(network, images.flip(-1), True)
        np.testing.assert_allclose(mirrored.flip(-1), edges, atol=1e-5)


def test_instances_share_out_their_class():
    network = built().eval()
    images = torch.rand(1, 3, 32, 24, generator=torch.Generator().manual_seed(3))
    maps = np.random.default_rng(0).random((2, 8, 6)).astype(np.float16)
    spec = Irn(instances=True, radius=3, steps=0)
    with torch.no_grad():
        [(scores, of_class)] = walks.refine(network, images, [maps], spec)
        edges, _ = walks.relations(network, images, True)
    # Without a step the parts of a class are its map off the boundaries, cut up.
    for row in (0, 1):
        parts = scores[of_class == row]
        assert ((parts > 0).sum(0) <= 1).all()
        np.testing.assert_allclose(parts.sum(0), maps[row] * (1 - edges[0].numpy()), atol=1e-3)
