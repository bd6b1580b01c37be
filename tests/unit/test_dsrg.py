"""DSRG: its losses by hand, its steps, and the field that regions grow on."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tags2masks.config.crf import Bilateral, DenseCrf, Gaussian
from tags2masks.config.growing import Growing
from tags2masks.config.masks import Crf
from tags2masks.config.segmenters import DeepLabV2
from tags2masks.masks.dense_crf import on_probabilities
from tags2masks.masks.label_crf import probabilities as field_of_labels
from tags2masks.segmenters import learning
from tags2masks.segmenters.dsrg import (
    boundary_loss,
    growing_step,
    refine_cells,
    seeding_loss,
    view_inside,
)
from tags2masks.training import Moment

FILL = (0.5, 0.25, 0.75)  # 128, 64, 191 in bytes
BLIND = {"gaussian": {"compat": 0}, "bilateral": {"compat": 0}}


def test_seeding_loss_by_hand():
    """Two images: 1 background and 2 class labels; then 2 background labels alone."""
    p = torch.tensor(
        [
            [[0.5, 0.2, 0.1, 0.3], [0.3, 0.7, 0.1, 0.3], [0.2, 0.1, 0.8, 0.4]],
            [[0.4, 0.9, 0.1, 0.3], [0.3, 0.05, 0.1, 0.3], [0.3, 0.05, 0.8, 0.4]],
        ]
    )[:, :, None]
    grown = torch.from_numpy(np.array([[[0, 1, 2, 255]], [[0, 0, 255, 255]]], np.uint8))
    first = -math.log(0.5) - (math.log(0.7) + math.log(0.8)) / 2
    second = -(math.log(0.4) + math.log(0.9)) / 2
    loss = seeding_loss(p.log(), grown)
    assert loss.item() == pytest.approx((first + second) / 2)


def test_boundary_loss_by_hand_and_its_gradient():
    """KL of (0.5, 0.5) and (1, 0) from (0.8, 0.2) each; the third cell does not count. The
    gradient by the logits is (network - field) / cells: none goes through the field."""
    logits = torch.tensor([[0.8, 0.8, 0.8], [0.2, 0.2, 0.2]]).log()[None, :, None].requires_grad_()
    refined = torch.tensor([[0.5, 1.0, 0.1], [0.5, 0.0, 0.9]])[None, :, None].requires_grad_()
    inside = torch.tensor([[[True, True, False]]])
    loss = boundary_loss(logits.log_softmax(1), refined, inside)
    one = 0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2)
    assert loss.item() == pytest.approx((one + math.log(1 / 0.8)) / 2)
    loss.backward()
    expected = [[0.3 / 2, -0.2 / 2, 0], [-0.3 / 2, 0.2 / 2, 0]]
    torch.testing.assert_close(logits.grad[0, :, 0], torch.tensor(expected))
    assert refined.grad is None


def random_batch(size=32, padded=8, batch=2, classes=3):
    """Images of which the last columns are padding, sparse labels, and logits that vary."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (batch, 3, size, size)).astype(np.uint8)
    labels = np.where(rng.random((batch, size, size)) < 0.1, 1, 255).astype(np.uint8)
    labels[:, :8, :8], labels[:, 16:, :8] = 0, 2
    images[..., size - padded :] = np.array([128, 64, 191], np.uint8)[:, None, None]
    labels[..., size - padded :] = 255
    logits = rng.normal(size=(batch, classes + 1, size, size)) * 3
    return torch.tensor(logits, dtype=torch.float32), torch.tensor(images), torch.tensor(labels)


@pytest.mark.parametrize("grow_on", ["network", "field"])
def test_a_step_is_finite_and_the_same_each_time(grow_on):
    logits, images, labels = random_batch()
    spec = Growing(stride=4, foreground=0.3, background=0.3, grow_on=grow_on)
    results = []
    for _ in range(2):
        leaf = logits.clone().requires_grad_()
        losses = growing_step(leaf, images, labels, spec, FILL)
        losses["loss"].backward()
        assert torch.isfinite(leaf.grad).all() and leaf.grad.any()
        results.append([leaf.grad.numpy().tobytes(), *(v.item() for v in losses.values())])
    assert results[0] == results[1]
    assert list(losses) == ["loss", "seeding", "boundary", "grown"]
    total = losses["seeding"] + losses["boundary"]
    assert losses["loss"].item() == pytest.approx(total.item())


def test_a_step_by_hand():
    """Cells of 2 x 2 pixels, three in a row; class 1 grows from the first to the second."""
    cells = torch.tensor([[0.001, 0.001, 0.4], [0.999, 0.999, 0.6]]).log()
    logits = cells[None, :, None].repeat(1, 1, 2, 1).repeat_interleave(2, dim=3)
    logits[0, :, 0, 0] += torch.tensor([5.0, -5.0])  # the mean over the cell is as it was
    logits[0, :, 0, 1] -= torch.tensor([5.0, -5.0])
    labels = torch.full((1, 2, 6), 255, dtype=torch.uint8)
    labels[0, 1, 1] = 1  # the middle of the first cell
    labels[0, 0, 4] = 0  # not the middle of the third: no seed
    images = torch.zeros(1, 3, 2, 6, dtype=torch.uint8)
    spec = Growing(stride=2, seeding_weight=2, boundary_weight=3, **BLIND)
    losses = growing_step(logits, images, labels, spec, FILL)
    assert losses["grown"].item() == pytest.approx(2 / 3)
    assert losses["seeding"].item() == pytest.approx(-math.log(0.999), abs=1e-6)
    assert losses["boundary"].item() == pytest.approx(0, abs=1e-6)  # a field that does nothing
    assert losses["loss"].item() == pytest.approx(-2 * math.log(0.999), abs=1e-5)


def test_weights_and_the_field_that_is_not_made(monkeypatch):
    logits, images, labels = random_batch()
    spec = Growing(stride=4, seeding_weight=2, boundary_weight=3)
    losses = growing_step(logits, images, labels, spec, FILL)
    assert losses["boundary"] > 0.01
    total = 2 * losses["seeding"] + 3 * losses["boundary"]
    assert losses["loss"].item() == pytest.approx(total.item())
    monkeypatch.setattr("tags2masks.segmenters.dsrg.refine_cells", None)
    alone = growing_step(logits, images, labels, Growing(stride=4, boundary_weight=0), FILL)
    assert alone["loss"].item() == alone["seeding"].item() == losses["seeding"].item()
    assert alone["boundary"].item() == 0


def test_growing_on_the_field_reaches_what_the_network_is_unsure_of():
    """An even image: the field makes the middle, 0.7 for class 1, as sure as its surroundings."""
    cells = torch.full((2, 5, 5), 0.01)
    cells[1] = 0.99
    cells[:, 2, 2] = torch.tensor([0.3, 0.7])
    images = torch.full((1, 3, 5, 5), 90, dtype=torch.uint8)
    labels = torch.full((1, 5, 5), 255, dtype=torch.uint8)
    labels[0, 0, 0] = 1
    shared = {"stride": 1, "foreground": 0.9}
    by_network = Growing(**shared)
    by_field = Growing(**shared, grow_on="field")
    found = [
        growing_step(cells.log()[None], images, labels, spec, FILL)["grown"].item()
        for spec in (by_network, by_field)
    ]
    assert found == [pytest.approx(24 / 25), 1]


def test_all_unlabelled_gives_no_seeding_loss_and_no_gradient_from_it():
    logits, images, labels = random_batch()
    logits.requires_grad_()
    labels[:] = 255
    losses = growing_step(logits, images, labels, Growing(stride=8, boundary_weight=0), FILL)
    assert losses["loss"].item() == losses["seeding"].item() == losses["grown"].item() == 0
    losses["loss"].backward()
    assert not logits.grad.any()


def test_an_image_that_is_all_padding_adds_nothing():
    logits, images, labels = random_batch()
    alone = growing_step(logits[:1], images[:1], labels[:1], Growing(stride=4), FILL)
    images[1] = images[0, :, 0, -1, None, None]
    labels[1] = 255
    both = growing_step(logits, images, labels, Growing(stride=4), FILL)
    assert both["seeding"].item() == pytest.approx(alone["seeding"].item() / 2)
    assert both["boundary"].item() == pytest.approx(alone["boundary"].item() / 2)
    assert both["grown"].item() == alone["grown"].item()


def test_logits_as_sure_as_they_come():
    logits, images, labels = random_batch()
    leaf = (logits * 1e4).requires_grad_()
    losses = growing_step(leaf, images, labels, Growing(stride=8), FILL)
    losses["loss"].backward()
    assert torch.isfinite(losses["loss"]) and torch.isfinite(leaf.grad).all()


def test_view_inside_by_hand():
    """Padding right and below; a spot of its colour inside, and a labelled cell of it, count.
    The image's first column has the padding's red, and is no padding."""
    images = torch.zeros(1, 3, 4, 5, dtype=torch.uint8)
    images[0, 0, :, 0] = 128
    colour = torch.tensor([128, 64, 191], dtype=torch.uint8)[:, None]
    images[0, :, 3], images[0, :, :, 3], images[0, :, :, 4] = colour, colour, colour
    images[0, :, 1, 1] = colour[:, 0]
    labels = torch.full((1, 4, 5), 255, dtype=torch.uint8)
    expected = torch.zeros(1, 4, 5, dtype=torch.bool)
    expected[0, :3, :3] = True
    assert view_inside(images, labels, FILL).equal(expected)
    labels[0, 0, 3] = 2
    expected[0, :3, 3] = True
    assert view_inside(images, labels, FILL).equal(expected)
    images[:] = colour[:, :, None]
    labels[:] = 255
    assert not view_inside(images, labels, FILL).any()


def test_what_is_said_of_the_padding_changes_nothing():
    """The network is sure of background all over the padding, beside a background seed: no label
    there, no gradient, and not another field inside."""
    logits, images, labels = random_batch(size=32, padded=8)
    labels[:, 16:, 16:24] = 0
    logits[:, 0, 16:, 16:] = 40
    spec = Growing(stride=4, background=0.5)
    leaf = logits.clone().requires_grad_()
    losses = growing_step(leaf, images, labels, spec, FILL)
    losses["loss"].backward()
    assert not leaf.grad[..., 24:].any()
    other = logits.clone()
    other[..., 24:] = torch.tensor([-40.0, 0, 40, 0])[:, None, None]
    again = growing_step(other, images, labels, spec, FILL)
    assert {k: v.item() for k, v in again.items()} == {k: v.item() for k, v in losses.items()}
    cut = growing_step(
        logits[..., :24], images[..., :24], labels[..., :24], spec, FILL
    )  # as if it had never been padded
    assert {k: v.item() for k, v in cut.items()} == pytest.approx(
        {k: v.item() for k, v in losses.items()}
    )


@pytest.mark.parametrize("size", [(5, 5), (8, 9), (17, 3)])
def test_sizes_that_are_no_multiple_of_the_stride(size):
    logits = torch.zeros(1, 2, *size, requires_grad=True)
    images = torch.zeros(1, 3, *size, dtype=torch.uint8)
    labels = torch.zeros(1, *size, dtype=torch.uint8)
    losses = growing_step(logits, images, labels, Growing(stride=8), FILL)
    assert losses["seeding"].item() == pytest.approx(math.log(2))
    assert losses["grown"].item() == 1


def test_sizes_that_differ_are_refused():
    logits, images, labels = random_batch()
    with pytest.raises(ValueError, match=r"sizes \(16, 32\), \(32, 32\), \(32, 32\)"):
        growing_step(logits[:, :, ::2], images, labels, Growing(), FILL)


class Shows(nn.Module):
    """Logits that are the first two colours."""

    def forward(self, images):
        return images[:, :2] * 10


def test_step_is_growing_step_of_the_networks_logits():
    _, images, labels = random_batch()
    labels[labels == 2] = 255
    spec = DeepLabV2(growing=Growing(foreground=0.5))
    # The step of every segmenter passes such a spec on.
    found = learning.step(Shows(), [images, labels], Moment(0, 0, (0, 0, 0)), spec)
    logits = images[:, :2].float() / 255 * 10
    expected = growing_step(logits, images, labels, spec.growing, spec.backbone.mean)
    assert {k: v.item() for k, v in found.items()} == {k: v.item() for k, v in expected.items()}


def test_a_field_over_probabilities_is_that_over_labels_with_the_same_energy():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 9, 3)).astype(np.uint8)
    labels = rng.integers(0, 3, (8, 9)).astype(np.uint8)
    spec = Crf(gt_prob=0.7)
    trusted = np.where(labels == np.arange(3)[:, None, None], 0.7, 0.15)
    for given in (trusted, np.asfortranarray(trusted)):
        found = on_probabilities(image, given, spec)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, field_of_labels(image, labels, spec), atol=1e-5)


def test_the_field_measures_cells_in_pixels():
    """`cell` pixels to a cell: the deviations over it, on the cells of the view alone."""
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 60, (1, 7, 6, 3)).astype(np.uint8)
    given = rng.dirichlet([1, 1, 1], (1, 7, 6)).transpose(0, 3, 1, 2).astype(np.float32)
    inside = np.zeros((1, 7, 6), bool)
    inside[0, 1:6, 2:] = True
    spec = Growing(cell=6)
    found = refine_cells(colours, given, inside, spec)
    expected = given.copy()
    expected[0, :, 1:6, 2:] = on_probabilities(
        colours[0, 1:6, 2:],
        given[0, :, 1:6, 2:],
        DenseCrf(
            gaussian=Gaussian(sxy=0.5, compat=3),
            bilateral=Bilateral(sxy=80 / 6, srgb=13, compat=10),
        ),
    )
    np.testing.assert_array_equal(found, expected)
    assert abs(found - given)[0, :, 1:6, 2:].max() > 0.1


def test_a_block_given_in_part_keeps_the_rest():
    spec = Growing.model_validate({"bilateral": {"sxy": 67}, "background": 0.99})
    assert spec.bilateral == Bilateral(sxy=67, srgb=13, compat=10)
    assert (spec.foreground, spec.background, spec.stride) == (0.99, 0.99, 8)
    assert spec.key()["bilateral"] == {"sxy": 67, "srgb": 13, "compat": 10}
    with pytest.raises(ValueError, match="foreground"):
        Growing(foreground=1.5)
