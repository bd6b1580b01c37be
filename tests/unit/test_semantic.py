"""Semantic masks of instances: by hand, and pixel by pixel."""

import numpy as np
import pytest

from tags2masks.config.masks import Semantic
from tags2masks.instance_store import instance
from tags2masks.masks.semantic import make_mask


def line(class_id, start, stop, box=None, possible=None):
    """An instance of one row of six pixels."""
    mask, larger = np.zeros((2, 1, 6), bool)
    mask[0, start:stop] = True
    if possible:
        larger[0, slice(*possible)] = True
    return instance(class_id, mask, box=box, possible=larger if possible else None)


def drawn(*instances, tagged=()):
    return make_mask((1, 6), instances, tagged).tolist()[0]


def test_pixels_of_two_classes_are_ignored():
    assert Semantic().takes == ("instances",)
    assert drawn(line(1, 0, 4), line(2, 2, 6)) == [1, 1, 255, 255, 2, 2]
    assert drawn(line(1, 0, 4), line(1, 2, 6)) == [1] * 6
    assert drawn(line(1, 0, 2)) == [1, 1, 0, 0, 0, 0]
    assert drawn() == [0] * 6


def test_a_box_in_another_covers_it():
    assert drawn(line(1, 0, 6), line(2, 1, 3)) == [1, 2, 2, 1, 1, 1]
    assert drawn(line(2, 1, 3), line(1, 0, 6)) == [1, 2, 2, 1, 1, 1]
    assert drawn(line(1, 0, 6), line(2, 0, 5), line(3, 1, 3)) == [2, 3, 3, 2, 2, 1]
    # Equal boxes cover nothing. A third one in only one of two leaves the other's pixels mixed.
    assert drawn(line(1, 0, 3), line(2, 0, 3)) == [255] * 3 + [0] * 3
    assert drawn(line(1, 0, 4), line(2, 2, 6), line(3, 2, 3)) == [1, 1, 3, 255, 2, 2]
    # Boxes count, not what is in them.
    assert drawn(line(1, 1, 3, (0, 0, 5, 0)), line(2, 1, 5)) == [0, 2, 2, 2, 2, 0]


def test_between_the_two_levels_pixels_are_ignored():
    assert drawn(line(1, 2, 4, possible=(1, 6))) == [0, 255, 1, 1, 255, 255]
    # Also where another instance is for certain, of whatever class, and in a box in a box.
    assert drawn(line(1, 2, 4, possible=(2, 5)), line(1, 4, 6)) == [0, 0, 1, 1, 255, 1]
    assert drawn(line(1, 0, 4, possible=(0, 6)), line(2, 4, 5)) == [1, 1, 1, 1, 255, 255]
    inner = line(2, 1, 2, possible=(1, 3))
    assert drawn(line(1, 0, 4), inner) == [1, 2, 255, 1, 0, 0]


def test_an_image_with_a_class_without_an_instance():
    assert drawn(line(1, 0, 2), tagged=[1]) == [1, 1, 0, 0, 0, 0]
    assert drawn(line(1, 0, 2), tagged=[1, 2]) == [1, 1, 255, 255, 255, 255]
    assert drawn(tagged=[2]) == [255] * 6


def pixel_by_pixel(size, instances):
    """The rule as it is written."""
    mask = np.zeros(size, np.uint8)
    for row, column in np.ndindex(size):
        here = [each for each in instances if each.mask[row, column]]

        def covered(each, here=here):
            return any(
                other.class_id != each.class_id
                and other.box != each.box
                and all(a <= b for a, b in zip(each.box[:2], other.box[:2], strict=True))
                and all(a >= b for a, b in zip(each.box[2:], other.box[2:], strict=True))
                for other in here
            )

        left = {each.class_id for each in here if not covered(each)}
        unsure = any(one.possible[row, column] and not one.mask[row, column] for one in instances)
        mask[row, column] = 255 if len(left) > 1 or unsure else min(left, default=0)
    return mask


@pytest.mark.parametrize("seed", range(5))
def test_any_order_is_as_pixel_by_pixel(seed):
    rng, size, instances = np.random.default_rng(seed), (9, 11), []
    for _ in range(7):
        mask = np.zeros(size, bool)
        top, left = int(rng.integers(6)), int(rng.integers(8))
        mask[top : top + int(rng.integers(1, 8)), left : left + int(rng.integers(1, 9))] = True
        sure = mask & (rng.random(size) < 0.9)
        larger = sure | (mask & (rng.random(size) < 0.2))
        instances.append(instance(int(rng.integers(1, 4)), sure, possible=larger))
    expected = pixel_by_pixel(size, instances)
    assert (expected == 255).any() and len(np.unique(expected)) > 2
    for order in (instances, instances[::-1]):
        np.testing.assert_array_equal(make_mask(size, order), expected)


def test_two_hundred_instances():
    several = [line(1 + at % 3, at % 6, at % 6 + 1) for at in range(200)]
    assert drawn(*several) == [1, 2, 3, 1, 2, 3]
