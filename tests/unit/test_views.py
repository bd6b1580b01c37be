"""Views of images: where pixels go when an image is resized, cropped, padded and flipped."""

import numpy as np
import pytest

from tags2masks.config.training import Augment
from tags2masks.data.views import batches_of_like_size, plain_view, random_view

FILL = (0.0, 0.5, 1.0)


def gradient(height, width):
    """An image whose red value is the row and whose green value is the column."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, rows * 0], -1).astype(np.uint8)


def view(image, labels=None, seed=0, **augment):
    return random_view(image, labels, Augment(**augment), FILL, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_a_crop_is_a_window_of_image_and_labels_alike(seed):
    image = gradient(40, 40)
    labels = image[..., 0]
    out, out_labels = view(image, labels, seed, resize=(40, 40), crop=8, flip=0)
    assert out.shape == (8, 8, 3)
    np.testing.assert_array_equal(out[..., 0], out_labels)
    top, left = out[0, 0, :2]
    np.testing.assert_array_equal(out, image[top : top + 8, left : left + 8])


@pytest.mark.parametrize("seed", range(5))
def test_padding_has_the_fill_colour_and_ignored_labels(seed):
    image = np.full((8, 4, 3), 200, np.uint8)
    out, labels = view(image, np.ones((8, 4), np.uint8), seed, resize=(8, 8), crop=12, flip=0)
    inside = labels == 1
    assert inside.sum() == 32
    assert set(np.unique(labels)) == {1, 255}
    assert (out[inside] == 200).all()
    assert (out[~inside] == [0, 128, 255]).all()


def test_flip_mirrors_both():
    image = gradient(8, 8)
    out, labels = view(image, image[..., 1], resize=(8, 8), crop=8, flip=1)
    np.testing.assert_array_equal(out, image[:, ::-1])
    np.testing.assert_array_equal(labels, image[:, ::-1, 1])


def test_the_long_side_stays_in_range_and_labels_stay_ids():
    labels = np.zeros((20, 10), np.uint8)
    labels[:10] = 7
    seen = set()
    for seed in range(40):
        _, out = view(gradient(20, 10), labels, seed, resize=(30, 33), crop=40, flip=0)
        seen.add(int((out != 255).any(1).sum()))
        assert set(np.unique(out)) == {0, 7, 255}
    assert seen == {30, 31, 32, 33}


def test_one_pixel_wide():
    out, labels = view(
        gradient(50, 1), np.ones((50, 1), np.uint8), resize=(16, 16), crop=16, flip=0
    )
    assert out.shape == (16, 16, 3)
    assert (labels == 1).sum() == 16


def test_a_plain_view_is_centred():
    out = plain_view(np.full((8, 4, 3), 9, np.uint8), Augment(resize=(8, 8), crop=8), FILL)
    assert (out[:, 2:6] == 9).all()
    assert (out[:, [0, 1, 6, 7], 2] == 255).all()


def test_batches_hold_images_of_one_size():
    sizes = [(2, 3), (4, 4), (2, 3), (2, 3), (4, 4)]
    assert list(batches_of_like_size(sizes, 2)) == [[0, 2], [3], [1, 4]]
