"""Upsampling, seeds and the threshold method."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tags2masks.config.masks import Threshold
from tags2masks.errors import UserError
from tags2masks.masks import threshold
from tags2masks.masks.seeds import best_class, seed, upsample


def test_upsample_by_hand():
    """Centres of 4 pixels over 2 cells lie at -0.25, 0.25, 0.75, 1.25 cells."""
    found = upsample(np.array([[[0, 1]]], np.float16), (2, 4))
    assert found.dtype == np.float32
    assert found.tolist() == [[[0, 0.25, 0.75, 1]] * 2]


@pytest.mark.parametrize(
    ("stored", "size"),
    [((5, 4), (20, 16)), ((5, 4), (18, 13)), ((1, 7), (3, 25)), ((3, 3), (3, 3)), ((1, 1), (1, 5))],
)
def test_upsample_is_torchs_bilinear(stored, size):
    maps = np.random.default_rng(0).random((3, *stored)).astype(np.float16)
    expected = F.interpolate(
        torch.from_numpy(maps.astype(np.float32))[None], size=size, mode="bilinear"
    )
    np.testing.assert_allclose(upsample(maps, size), expected[0].numpy(), atol=1e-6)


def test_a_plateau_stays_flat():
    maps = np.full((1, 3, 5), 0.7, np.float16)
    assert (upsample(maps, (11, 19)) == np.float32(np.float16(0.7))).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1, 1.1])
def test_scores_that_are_none_are_refused(wrong):
    maps = np.full((1, 2, 2), 0.5, np.float16)
    maps[0, 1, 1] = wrong
    with pytest.raises(UserError, match="outside 0 to 1 or that are no numbers"):
        upsample(maps, (4, 4))


def test_best_class_takes_the_first_of_equals():
    scores = np.array([[[0.5, 0.2, 0.1]], [[0.5, 0.4, 0.1]], [[0.6, 0.4, 0]]], np.float32)
    best, ids = best_class(scores, [7, 2, 5])
    np.testing.assert_array_equal(best, np.float32([[0.6, 0.4, 0.1]]))
    assert ids.tolist() == [[5, 2, 7]]
    assert scores[0, 0, 1] == np.float32(0.2)  # the input is left alone


def test_best_class_wants_an_id_for_each_map():
    with pytest.raises(ValueError, match="2 maps for 1 class ids"):
        best_class(np.zeros((2, 1, 1)), [1])


def test_the_background_wins_ties():
    scores = np.array([[[0.29, 0.3, 0.31]], [[0, 0, 0.31]]], np.float32)
    labels = seed(scores, [2, 1], 0.3)
    assert labels.tolist() == [[0, 0, 2]] and labels.dtype == np.uint8


def test_mask_by_hand():
    """Two classes, one on the left and one on the right."""
    maps = np.array([[[0.75, 0]], [[0, 0.5]]], np.float16)
    image = np.zeros((1, 4, 3), np.uint8)
    # class 4: 0.75, 0.5625, 0.1875, 0; class 9: 0, 0.125, 0.375, 0.5
    mask = threshold.make_mask(image, maps, [4, 9], Threshold(background_score=0.4))
    assert mask.tolist() == [[4, 4, 0, 9]]
    mask = threshold.make_mask(image, maps, [4, 9], Threshold(background_score=0.3))
    assert mask.tolist() == [[4, 4, 9, 9]]


def test_an_image_without_classes_is_background():
    mask = threshold.make_mask(
        np.zeros((3, 5, 3), np.uint8),
        np.zeros((0, 1, 2), np.float16),
        [],
        Threshold(background_score=0.3),
    )
    assert mask.shape == (3, 5) and mask.dtype == np.uint8 and not mask.any()


def test_images_need_not_be_read():
    assert not Threshold().reads_images
    maps = np.random.default_rng(0).random((2, 3, 4)).astype(np.float16)
    one, other = (np.full((9, 13, 3), fill, np.uint8) for fill in (0, 200))
    np.testing.assert_array_equal(
        threshold.make_mask(one, maps, [1, 2], Threshold(background_score=0.3)),
        threshold.make_mask(other, maps, [1, 2], Threshold(background_score=0.3)),
    )
