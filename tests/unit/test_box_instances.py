"""Instances from boxes: filled, and by a CRF."""

import numpy as np
import pytest
from pydensecrf.utils import unary_from_softmax

from tags2masks.config.instances import BoxCrf, BoxFill
from tags2masks.instances import boxcrf, boxfill
from tags2masks.masks.dense_crf import mean_field


def filled(size, box):
    (mask,) = boxfill.make_masks(np.empty((*size, 3), np.uint8), [box], BoxFill())
    return mask


def test_both_corners_are_of_the_box():
    assert filled((3, 4), (1, 0, 2, 1)).astype(int).tolist() == [
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
    ]
    assert filled((3, 4), (0, 0, 3, 2)).all() and filled((3, 4), (2, 2, 2, 2)).sum() == 1


def disc(size=(40, 40), centre=(20, 20), radius=9):
    """A bright disc on a dark ground, and its pixels."""
    rows, columns = np.indices(size)
    inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    image = np.full((*size, 3), 40, np.uint8)
    image[inside] = 220
    return image, inside


def test_what_looks_like_its_surroundings_is_background():
    image, inside = disc()
    (mask,) = boxcrf.make_masks(image, [(11, 11, 29, 29)], BoxCrf())
    np.testing.assert_array_equal(mask, inside)
    assert inside.sum() / 19**2 < 0.75  # of the box


def test_no_pixel_outside_the_box():
    image, _ = disc()
    box = (11, 11, 20, 29)
    (mask,) = boxcrf.make_masks(image, [box], BoxCrf())
    assert mask.any() and not mask[~filled((40, 40), box)].any()


def test_a_box_like_its_surroundings_stays_whole():
    grey = np.full((40, 40, 3), 128, np.uint8)
    box = (10, 12, 29, 27)
    (least, none) = (next(boxcrf.make_masks(grey, [box], BoxCrf(least=n))) for n in (0.2, 0))
    assert not none.any()  # the CRF leaves nothing
    np.testing.assert_array_equal(least, filled((40, 40), box))


def test_it_is_the_crf_of_the_box_and_its_margin():
    rng = np.random.default_rng(0)
    image = rng.integers(256, size=(30, 36, 3), dtype=np.uint8)
    image[10:17, 13:25] = 20
    spec = BoxCrf(margin=0.25, least=0, foreground=0.8)
    (mask,) = boxcrf.make_masks(image, [(10, 8, 24, 19)], spec)
    # A quarter of 15 columns and of 12 rows: 4 and 3 pixels.
    crop = image[5:23, 6:29]
    shares = np.zeros((2, 18, 23), np.float32)
    shares[0] = 1
    shares[:, 3:15, 4:19] = np.float32([0.2, 0.8])[:, None, None]
    refined = mean_field(crop, unary_from_softmax(shares.clip(1e-5, 1), scale=None), spec)
    expected = np.zeros((30, 36), bool)
    expected[8:20, 10:25] = (refined[1] > refined[0])[3:15, 4:19]
    np.testing.assert_array_equal(mask, expected)
    assert 0 < mask.sum() < 12 * 15


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (0, 0, 39, 39), (39, 0, 39, 39), (5, 5, 6, 6)])
def test_boxes_of_any_size(box):
    image, _ = disc()
    (mask,) = boxcrf.make_masks(image, [box], BoxCrf())
    assert mask.any() and not mask[~filled((40, 40), box)].any()


def test_no_boxes_no_masks():
    image, _ = disc()
    assert list(boxcrf.make_masks(image, [], BoxCrf())) == []
    assert list(boxfill.make_masks(image, [], BoxFill())) == []
