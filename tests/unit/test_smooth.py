"""Masks of smoothed maps."""

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from tags2masks.config.base import ConfigError
from tags2masks.config.masks import Smooth
from tags2masks.config.project import parse_config
from tags2masks.masks import smooth
from tags2masks.masks.seeds import seed, upsample


def blank(height, width):
    return np.zeros((height, width, 3), np.uint8)


def test_scores_by_hand():
    """Weights e^(-1/2), 1, e^(-1/2) over their sum; the pixel beside the border counts twice."""
    maps = np.array([[[0, 1, 0, 0]]], np.float16)
    side, middle = np.exp(-0.5), 1.0
    total = middle + 2 * side
    found = smooth.scores(blank(1, 4), maps, Smooth(kernel=3, sigma=1))
    np.testing.assert_allclose(
        found, [[[2 * side / total, middle / total, side / total, 0]]], rtol=1e-6
    )
    assert found.dtype == np.float32


def test_mask_by_hand():
    # The same scores: 0.548, 0.452, 0.274, 0.
    maps = np.array([[[0, 1, 0, 0]]], np.float16)
    for background, expected in ((0.5, [7, 0, 0, 0]), (0.3, [7, 7, 0, 0]), (0.2, [7, 7, 7, 0])):
        spec = Smooth(kernel=3, sigma=1, background_score=background)
        assert smooth.make_mask(blank(1, 4), maps, [7], spec).tolist() == [expected]


def test_scores_are_torchvisions_blur():
    maps = np.random.default_rng(0).random((3, 7, 9)).astype(np.float16)
    full = upsample(maps, (27, 33))
    expected = gaussian_blur(torch.from_numpy(full), [13, 13], [5.0, 5.0]).numpy()
    found = smooth.scores(blank(27, 33), maps, Smooth())
    np.testing.assert_allclose(found, expected, atol=1e-6)
    mask = smooth.make_mask(blank(27, 33), maps, [2, 1, 5], Smooth(background_score=0.4))
    np.testing.assert_array_equal(mask, seed(found, [2, 1, 5], 0.4))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)])
def test_images_smaller_than_the_kernel_keep_a_plateau(size):
    maps = np.full((2, 1, 1), 0.5, np.float16)
    np.testing.assert_allclose(smooth.scores(blank(*size), maps, Smooth()), 0.5, rtol=1e-6)


def test_an_image_without_classes_is_background():
    mask = smooth.make_mask(
        blank(3, 5), np.zeros((0, 1, 2), np.float16), [], Smooth(background_score=0.3)
    )
    assert mask.shape == (3, 5) and not mask.any()


def test_a_kernel_needs_a_middle():
    raw = {
        "datasets": {"digits": {"kind": "digits"}},
        "masks": {"even": {"method": "smooth", "kernel": 12}},
        "experiments": ["digits / vanilla"],
    }
    with pytest.raises(ConfigError, match=r"masks\.even\.kernel: 12 has no middle"):
        parse_config(raw)
