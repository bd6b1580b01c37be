"""Maps and masks of several chains, together, by hand."""

import numpy as np
import pytest

from tags2masks.config.maps import MeanMaps
from tags2masks.config.masks import Vote
from tags2masks.maps.mean import average
from tags2masks.masks.vote import make_mask

CHAINS = ("vanilla/cam", "vanilla/lpcam")


def test_the_mean_of_maps_by_hand():
    one = np.array([[[1.0, 0.5]], [[0.0, 0.0]]], np.float16)
    other = np.array([[[0.5, 0.0]], [[0.0, 1.0]]], np.float16)
    # Means 0.75 and 0.25; 0 and 0.5: each over its class's maximum.
    mean = average([one, other], MeanMaps(of=CHAINS))
    assert mean.dtype == np.float16
    np.testing.assert_allclose(mean, [[[1, 1 / 3]], [[0, 1]]], atol=1e-3)


def test_coarser_maps_are_enlarged():
    fine, coarse = np.array([[[1.0, 1, 0, 0]]], np.float16), np.array([[[1.0, 0]]], np.float16)
    # The two cells lie in the middles of four: 1, 0.75, 0.25, 0.
    mean = average([coarse, fine], MeanMaps(of=CHAINS))
    np.testing.assert_allclose(mean, [[[1, 0.875, 0.125, 0]]], atol=1e-3)


def test_the_mean_of_no_class_and_of_empty_maps():
    none = np.zeros((0, 2, 3), np.float16)
    assert average([none, none], MeanMaps(of=CHAINS)).shape == (0, 2, 3)
    empty = np.zeros((2, 2, 3), np.float16)
    assert not average([empty, empty], MeanMaps(of=CHAINS)).any()


def test_a_vote_by_hand():
    masks = [[0, 0, 7, 7, 255, 255, 9], [0, 7, 7, 9, 7, 255, 9], [0, 7, 0, 0, 255, 255, 255]]
    masks = [np.array([mask], np.uint8) for mask in masks]
    # Most; most; most; three different; one vote; no vote; two votes.
    assert make_mask(masks, Vote(of=CHAINS)).tolist() == [[0, 7, 7, 255, 7, 255, 9]]
    assert make_mask([masks[0][:, 4:6]] * 2, Vote(of=CHAINS)).tolist() == [[255, 255]]


@pytest.mark.parametrize("block", [MeanMaps, Vote])
def test_several_are_at_least_two(block):
    with pytest.raises(ValueError, match="at least 2 items"):
        block(of=CHAINS[:1])
