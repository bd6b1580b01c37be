"""AffinityNet, its labels, and the masks that it makes."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from tags2masks.affinity import psa
from tags2masks.affinity.losses import affinity_loss, labels_of_cells
from tags2masks.config.affinity import PsaTraining
from tags2masks.config.crf import Bilateral, Gaussian
from tags2masks.config.masks import Agreed, Psa
from tags2masks.config.training import Augment, Backbone, Optimizer
from tags2masks.config.walks import PsaWalk
from tags2masks.data.index import images_sha
from tags2masks.data.masked import ProbabilityViews
from tags2masks.errors import UserError
from tags2masks.masks import agreed
from tags2masks.masks import psa as masks
from tags2masks.store import write_shard
from tags2masks.training import Moment
from tags2masks.walks import psa as walks
from tags2masks.walks.walking import divided

SPEC = PsaTraining(backbone=Backbone(name="test_resnet", output_stride=8), radius=3)
# A CRF that changes nothing.
STILL = {"gaussian": Gaussian(compat=0), "bilateral": Bilateral(compat=0)}


def built() -> psa.AffinityNet:
    torch.manual_seed(0)
    return psa.build(SPEC, 5)


def test_weights_decay_as_in_the_public_code():
    assert PsaTraining().optimizer == Optimizer(
        lr=0.1, head_factor=10, momentum=5e-4, weight_decay=5e-4
    )


def test_affinity_by_hand():
    features = torch.tensor([[[[0.0, 1.0, 1.0]], [[2.0, 2.0, 0.0]]]])  # two channels, three cells
    found = psa.affinity(features, (0, 1))
    np.testing.assert_allclose(found, [[[np.exp(-0.5), np.exp(-1)]]], rtol=1e-6)
    np.testing.assert_allclose(psa.affinity(features, (0, 2)), [[[np.exp(-1.5)]]], rtol=1e-6)


def test_the_balanced_loss_by_hand():
    close = torch.tensor([[[0.9, 0.6, 0.2]]])
    labels = torch.tensor([[[0, 0, 0, 1]]])  # two pairs of background, one of two labels
    loss, accuracy = affinity_loss([close], labels, [(0, 1)])
    expected = -(np.log(0.9) + np.log(0.6)) / 2 / 4 - np.log(0.8) / 2
    assert loss == pytest.approx(expected, abs=1e-4) and accuracy == 1
    loss, accuracy = affinity_loss([close], torch.tensor([[[2, 2, 255, 1]]]), [(0, 1)])
    assert loss == pytest.approx(-np.log(0.9) / 4, abs=1e-4)
    assert accuracy == 0.5  # no pair of two labels


def test_labels_of_cells_are_those_in_their_middle():
    labels = torch.arange(64, dtype=torch.uint8).reshape(1, 8, 8)
    assert labels_of_cells(labels, (2, 2)).tolist() == [[[18, 22], [50, 54]]]


@pytest.mark.parametrize("size", [(1, 1), (33, 50), (64, 64), (17, 5)])
def test_shapes_at_any_size(size):
    with torch.no_grad():
        features = built().eval()(torch.rand(1, 3, *size))
    assert features.shape == (1, 448, -(-size[0] // 8), -(-size[1] // 8))


@pytest.mark.parametrize("value", [255, 0, 1])
def test_labels_of_one_kind_give_a_finite_loss(value):
    network = built().train()
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    labels = torch.full((2, 32, 32), value, dtype=torch.uint8)
    found = psa.step(network, [images, labels], Moment(0, 0, (0, 0, 0)), SPEC)
    found["loss"].backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(g).all() for g in gradients)
    assert (found["loss"] == 0) == (value == 255)


def test_with_background_by_hand():
    scores = np.array([[[0.5, 0.1]], [[0.2, 0.3]]])
    found = agreed.with_background(scores, 2)
    np.testing.assert_allclose(found, [[[0.25, 0.49]], [[0.5, 0.1]], [[0.2, 0.3]]])
    np.testing.assert_allclose(agreed.with_background(np.zeros((0, 1, 2)), 4), [[[1, 1]]])


def test_a_constant_background_is_a_cut_after_the_walk():
    torch.manual_seed(0)
    scores, features = torch.rand(2, 6, 7), torch.rand(8, 6, 7)
    spec = PsaWalk(background="constant", background_constant=0.39, steps=3)
    background, *classes = walks.walked(scores, features, spec)
    torch.testing.assert_close(background, torch.full((6, 7), 0.39))
    power = walks.walked(scores, features, PsaWalk(background_power=2, steps=3))
    torch.testing.assert_close(torch.stack(classes), power[1:])
    nothing = walks.walked(scores[:0], features, spec)
    torch.testing.assert_close(nothing, torch.full((1, 6, 7), 0.39))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"background": "constant", "background_power": 2}, "constant has no background_power"),
        ({"background_constant": 0.3}, "power has no background_constant"),
        (
            {"background": "constant", "background_score": None},
            "background_score: null needs background_constant",
        ),
        ({"background_score": None}, "background_score: null needs background_power"),
    ],
)
def test_the_background_is_given_in_one_way(options, said):
    with pytest.raises(ValidationError, match=said):
        PsaWalk(**options)


def test_a_constant_background_may_be_chosen():
    spec = PsaWalk(background="constant")
    assert spec.at_score({"background_score": 0.4}).background_constant == 0.4
    assert PsaWalk().at_score({"background_score": 0.5}).background_power == 1
    # Maps walk to a power, at which a pixel of the chosen score is still as likely background.
    raised = PsaWalk(map_power=2).at_score({"background_score": 0.5})
    assert (1 - 0.5**2) ** raised.background_power == pytest.approx(0.5**2)
    constant = PsaWalk(map_power=2, background="constant").at_score({"background_score": 0.5})
    assert constant.background_constant == 0.25


def test_agreed_labels_by_hand():
    # Background at powers 2 and 8: 0.04 and ~0, 0.36 and 0.017, 0.81 and 0.43, 0.9801 and 0.92.
    maps = np.array([[[0.8, 0.4, 0.1, 0.01]], [[0.1, 0.3, 0.05, 0.005]]], np.float16)
    image = np.zeros((1, 4, 3), np.uint8)
    spec = Agreed(low_power=2, high_power=8, **STILL)
    assert agreed.make_mask(image, maps, [4, 9], spec).mask.tolist() == [[4, 4, 0, 0]]
    maps[0, 0, 1] = 0.35  # 0.42 and 0.03: background for the low power alone
    assert agreed.make_mask(image, maps, [4, 9], spec).mask.tolist() == [[4, 255, 0, 0]]
    none = agreed.make_mask(image, np.zeros((0, 1, 4), np.float16), [], spec)
    assert none.mask.tolist() == [[0] * 4]


def test_probabilities_are_kept_in_255ths():
    maps = np.array([[[0.8, 0.4]], [[0.1, 0.3]]], np.float16)
    spec = Agreed(low_power=1, high_power=2, keep_probabilities=True, **STILL)
    made = agreed.make_mask(np.zeros((1, 2, 3), np.uint8), maps, [4, 9], spec)
    assert made.mask.tolist() == [[4, 255]]
    # Background, class 4 and class 9, over their sums 1.1 and 1.3, and 0.94 and 1.06.
    low, high = [[0.2, 0.6], [0.8, 0.4], [0.1, 0.3]], [[0.04, 0.36], [0.8, 0.4], [0.1, 0.3]]
    for found, expected in zip(made.further["probabilities"][:, :, 0], (low, high), strict=True):
        expected = np.array(expected)
        np.testing.assert_allclose(found, 255 * expected / expected.sum(0), atol=0.6)
    none = agreed.make_mask(
        np.zeros((1, 2, 3), np.uint8), np.zeros((0, 1, 2), np.float16), [], spec
    )
    assert none.further["probabilities"].tolist() == [[[[255, 255]]]] * 2


def test_labels_of_cells_by_the_means_of_probabilities():
    # One row of cells of two pixels, two labels: background and a class.
    def of_class(*values):
        shares = torch.tensor(values)
        return torch.stack([255 - shares, shares])[:, None]

    strict = of_class(255, 120, 127, 120, 255, 0, 130, 140)
    loose = of_class(255, 120, 127, 120, 100, 110, 130, 140)
    both = torch.stack([strict, loose])[None].to(torch.uint8)
    # The first cell is of the class though one of its pixels is not; the second is background by
    # both; in the third the class's mean is half in the first CRF (the background wins, so it is
    # unsure) and below a half in the second: background; the fourth is of the class.
    assert psa.agreed_cells(both, (1, 4)).tolist() == [[[1, 0, 0, 1]]]
    # Its middle pixel says that the first cell is of no class.
    middle = torch.tensor([[[1, 0, 0, 0, 0, 0, 1, 1]]], dtype=torch.uint8)
    assert labels_of_cells(middle, (1, 4)).tolist() == [[[0, 0, 0, 1]]]
    # Where the second CRF still sees the class, the cell is unsure; so is padding.
    both[0, :, :, :, 2:4] = torch.tensor([[200, 55], [100, 155]], dtype=torch.uint8)[
        ..., None, None
    ]
    both[..., 6:] = 0
    assert psa.agreed_cells(both, (1, 4)).tolist() == [[[1, 255, 0, 255]]]


def test_views_show_probabilities_where_they_show_the_image(tmp_path):
    # The image's red is the class's probability by both CRFs, its green the background's.
    rng = np.random.default_rng(0)
    red = rng.integers(256, size=(20, 30), dtype=np.uint8)
    Image.fromarray(np.stack([red, 255 - red, red * 0], -1)).save(tmp_path / "a.png")
    rows = pd.DataFrame({"image": ["a"], "path": ["a.png"], "sha": ["s"], "shard": [0]})
    rows = rows.assign(tags=[("cat",)], height=20, width=30)
    both = np.stack([np.stack([255 - red, red])] * 2)
    entry = ("a", red * 0, {"size": [20, 30]}, {"probabilities": both})
    write_shard(tmp_path / "0.zarr.zip", {"id": "x"}, images_sha(rows), [entry])
    augment = Augment(resize=(30, 30), crop=26)
    views = ProbabilityViews(rows, tmp_path, [tmp_path / "0.zarr.zip"], "x", augment, (0, 0, 0))
    for seed in range(4):
        image, amounts = views[0, seed, 0, 0]
        assert amounts.shape == (2, 2, 26, 26)
        assert torch.equal(amounts[0], amounts[1])
        assert torch.equal(amounts[0, 1], image[0]) and torch.equal(amounts[0, 0], image[1])
        assert int((amounts.sum((0, 1)) == 0).sum()) == 6 * 26  # padding
    rows["tags"] = [("cat", "dog")]
    more = ProbabilityViews(rows, tmp_path, [tmp_path / "0.zarr.zip"], "x", augment, (0, 0, 0))
    assert more[0, 0, 0, 0][1].shape == (2, 3, 26, 26) and not more[0, 0, 0, 0][1][:, 2].any()
    rows["tags"] = [()]  # maps of boxes may be of classes that are no tags
    less = ProbabilityViews(rows, tmp_path, [tmp_path / "0.zarr.zip"], "x", augment, (0, 0, 0))
    with pytest.raises(
        UserError, match=r"0\.zarr\.zip: image 'a' has 1 classes, but no training ima"
    ):
        less[0, 0, 0, 0]


def test_means_without_probabilities_are_refused():
    with pytest.raises(ValidationError) as error:
        Psa(labels={"keep_probabilities": False})
    assert (
        "affinity.cell_labels: mean needs labels.keep_probabilities: true; set that, or "
        "cell_labels to middle" in str(error.value)
    )
    middle = Psa(labels={"keep_probabilities": False}, affinity={"cell_labels": "middle"})
    assert "keep_probabilities" not in middle.labels.key()


def test_powers_the_wrong_way_round():
    with pytest.raises(ValidationError, match="low_power is the lower of the two"):
        Agreed(low_power=8, high_power=4)


def test_refined_maps():
    network = built().eval()
    images = torch.rand(2, 3, 32, 24)
    maps = [np.random.default_rng(0).random((2, 8, 6)).astype(np.float16), np.zeros((0, 8, 6))]
    spec = Psa(radius=3, steps=0, background_power=2)
    with torch.no_grad():
        (scores, rows), (alone, row) = walks.refine(network, images, maps, spec)
    assert rows.tolist() == [-1, 0, 1] and row.tolist() == [-1]
    # Without a step: means over 2 × 2 stored cells, and the background of them.
    means = maps[0].astype(float).reshape(2, 4, 2, 3, 2).mean((2, 4))
    np.testing.assert_allclose(scores[1:], means, atol=1e-6)
    np.testing.assert_allclose(scores[0], (1 - means.max(0)) ** 2, atol=1e-6)
    assert (alone == 1).all()


def test_the_walk_follows_the_features():
    features = torch.zeros(1, 3, 4)
    features[..., 2:] = 20  # nothing in common with the left
    scores = torch.zeros(1, 3, 4)
    scores[0, 1, 0] = 1
    found = walks.walked(scores, features, Psa(radius=2, background_power=16))
    assert found[1, :, :2].min() > 0.05 and found[1, :, 2:].max() < 1e-6
    assert found[0, :, 2:].min() > 0.999  # all background there


def test_the_highest_map_wins_and_the_background_is_one_of_them():
    scores = np.array([[[0.2, 0.9]], [[0.3, 0.1]]], np.float32)
    image, stored = np.zeros((1, 2, 3), np.uint8), divided(scores).astype(np.float16)
    assert masks.make_mask(image, stored, [0, 7], Psa()).tolist() == [[7, 0]]
