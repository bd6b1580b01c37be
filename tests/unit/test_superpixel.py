"""Masks of whole superpixels."""

import numpy as np
import pytest

from tags2masks.config.masks import Superpixel
from tags2masks.masks import superpixel

SPEC = Superpixel(sigma=0, min_size=1, background_score=0.3)


def halves(height=4, width=6):
    """Black on the left, white on the right: two superpixels."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 255
    return image


def test_segment_means_by_hand():
    segments = np.array([[0, 0, 2], [0, 2, 2]])  # no segment 1
    scores = np.array([[[0.1, 0.2, 0.9], [0.6, 0.3, 0]], [[1, 1, 0], [1, 0, 0]]], np.float32)
    found = superpixel.segment_means(scores, segments)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [[0.3, 0.3, 0.4], [0.3, 0.4, 0.4]], rtol=1e-6)
    assert found[1].tolist() == [[1, 1, 0], [1, 0, 0]]


def test_scores_and_mask_by_hand():
    maps = np.zeros((2, 4, 6), np.float16)
    maps[0, 0, 0] = 1  # mean 1/12 on the left
    maps[0, :, 3] = 0.75  # mean 0.25 on the right
    maps[1, :2, 3:] = 0.625  # mean 0.3125 on the right, though the other has the highest peak
    image = halves()
    found = superpixel.scores(image, maps, SPEC)
    np.testing.assert_allclose(found[0, 2], [1 / 12] * 3 + [0.25] * 3, rtol=1e-6)
    np.testing.assert_allclose(found[1, 3], [0] * 3 + [0.3125] * 3, rtol=1e-6)
    mask = superpixel.make_mask(image, maps, [4, 9], SPEC)  # background 0.3
    assert (mask[:, :3] == 0).all() and (mask[:, 3:] == 9).all()
    low = Superpixel(sigma=0, min_size=1, background_score=0.05)
    assert (superpixel.make_mask(image, maps, [4, 9], low)[:, :3] == 4).all()


def test_one_superpixel_has_the_plain_mean():
    maps = np.random.default_rng(0).random((1, 8, 8)).astype(np.float16)
    image = np.full((8, 8, 3), 90, np.uint8)
    found = superpixel.scores(image, maps, Superpixel())
    np.testing.assert_allclose(found, maps.astype(np.float64).mean(), rtol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 33), (33, 1), (3, 2)])
def test_tiny_and_thin_images(size):
    maps = np.full((1, 1, 1), 0.5, np.float16)
    image = np.random.default_rng(1).integers(0, 255, (*size, 3)).astype(np.uint8)
    assert superpixel.make_mask(image, maps, [3], SPEC).tolist() == [[3] * size[1]] * size[0]


def test_an_image_without_classes_is_background():
    mask = superpixel.make_mask(halves(), np.zeros((0, 1, 2), np.float16), [], SPEC)
    assert mask.shape == (4, 6) and mask.dtype == np.uint8 and not mask.any()
