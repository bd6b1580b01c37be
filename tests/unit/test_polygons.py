"""Masks as polygons: the same pixels, when COCO's tools draw them."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tags2masks.export.polygons import polygons_of


def of(text):
    return np.array([[cell == "#" for cell in row] for row in text.split()])


def drawn(polygons, size):
    """How many polygons cover each pixel, by pycocotools."""
    count = np.zeros(size, int)
    for polygon in polygons:
        (code,) = coco_mask.frPyObjects([[float(side) for xy in polygon for side in xy]], *size)
        count += coco_mask.decode(code)
    return count


def test_a_rectangle_and_a_step():
    assert polygons_of(of(".... .##. .##.")) == [[(1, 1), (3, 1), (3, 3), (1, 3)]]
    assert polygons_of(of("#. ##")) == [[(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (0, 2)]]


def test_pixels_that_touch_at_corners_are_parts_of_their_own():
    assert polygons_of(of("#. .#")) == [
        [(0, 0), (1, 0), (1, 1), (0, 1)],
        [(1, 1), (2, 1), (2, 2), (1, 2)],
    ]


def test_a_ring_is_cut_through_its_hole():
    above, below = sorted(polygons_of(of("### #.# ###")), key=lambda polygon: polygon[0][1])
    assert above == [(0, 0), (3, 0), (3, 1), (0, 1)]
    assert below == [(0, 1), (1, 1), (1, 2), (2, 2), (2, 1), (3, 1), (3, 3), (0, 3)]


@pytest.mark.parametrize(
    "text",
    [
        "##. #.# ###",
        ".#. #.# .#.",
        "####. #..#. #.##. ##.## ..#.#  ..###",
        "#",
        "..",
        "#.#.# .#.#. #.#.#",
    ],
)
def test_closed_at_corners_alone(text):
    mask = of(text)
    np.testing.assert_array_equal(drawn(polygons_of(mask), mask.shape), mask)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 0.95])
def test_every_pixel_once_and_no_other(seed, share):
    mask = np.random.default_rng(seed).random((17, 23)) < share
    np.testing.assert_array_equal(drawn(polygons_of(mask), mask.shape), mask)


def test_a_large_mask_with_holes():
    y, x = np.mgrid[:120, :160]
    mask = (np.sin(x / 9) + np.cos(y / 7) + np.sin((x + y) / 20) > -0.6) & ((x - 80) ** 2 > 100)
    np.testing.assert_array_equal(drawn(polygons_of(mask), mask.shape), mask)
