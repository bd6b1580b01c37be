"""Masks of whole segments: SEPL's rule on 6 × 6 pixels by hand, and pixel by pixel."""

import numpy as np
import pytest

from tags2masks.config.masks import Segments
from tags2masks.instance_store import instance
from tags2masks.masks.segments import make_mask

MASK = np.array(
    [
        [1, 1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 2, 2],
        [0, 0, 0, 0, 2, 2],
        [0, 0, 0, 0, 255, 255],
        [0, 0, 0, 0, 0, 2],
    ],
    np.uint8,
)


def segment(*windows):
    """Of the rectangles (top, bottom, left, right), the ends outside."""
    pixels = np.zeros(MASK.shape, bool)
    for top, bottom, left, right in windows:
        pixels[top:bottom, left:right] = True
    return instance(0, pixels)


def refined(*segments, **options):
    return make_mask(MASK, Segments(**options), segments).tolist()


def test_more_than_half_of_a_segment():
    # 5 of 8 pixels are of class 1; 3 of 6 are not more than half.
    found = refined(segment((0, 2, 0, 4)))
    assert found[0] == found[1] == [1, 1, 1, 1, 0, 0] and found[2:] == MASK[2:].tolist()
    assert refined(segment((1, 3, 0, 3)))[1:3] == [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 2, 2]]
    assert refined(segment((1, 3, 0, 3)), segment_share=0.49)[1] == [1, 1, 1, 0, 0, 0]


def test_most_of_a_class_s_region():
    # 6 of 36 pixels, but all of class 1; class 2 has 5 of them and is no more.
    assert refined(segment((0, 6, 0, 6)))[5] == [1] * 6
    # 4 of the 5 pixels of class 2 are less than 0.85 of them, and 4 of 9 not half.
    corner = segment((1, 4, 3, 6))
    assert refined(corner)[2] == [1, 0, 0, 0, 0, 0]
    assert refined(corner, region_share=0.8)[2] == [1, 0, 0, 2, 2, 2]
    assert refined(segment((0, 6, 0, 6)), region_share=None)[0] == [0] * 6


def test_255_is_no_overlap_and_stays_where_nothing_counts():
    # 2 of 4, not more than half; then 2 of 3.
    assert refined(segment((4, 6, 4, 6)))[4:] == [[0, 0, 0, 0, 255, 255], [0] * 6]
    wide = segment((3, 5, 4, 6), (2, 3, 4, 6))
    assert [row[4:] for row in refined(wide)[2:5]] == [[2, 2]] * 3


def test_the_smallest_of_overlapping_segments_stands():
    both = [segment((0, 6, 0, 6)), segment((2, 4, 4, 6))]
    for order in (both, both[::-1]):
        found = np.array(refined(*order))
        assert (found[2:4, 4:] == 2).all() and (
            np.delete(found.ravel(), [16, 17, 22, 23]) == 1
        ).all()
    # Of equal sizes the first: class 1 with 1 of 2 pixels, class 2 with 1 of 2.
    mask = np.array([[1, 0, 2]], np.uint8)
    ends = [instance(0, np.array([[1, 1, 0]], bool)), instance(0, np.array([[0, 1, 1]], bool))]
    spec = Segments(segment_share=0.4)
    assert make_mask(mask, spec, ends).tolist() == [[1, 1, 2]]
    assert make_mask(mask, spec, ends[::-1]).tolist() == [[1, 2, 2]]


def test_of_equal_overlaps_the_lower_class():
    mask = np.array([[2, 2, 1, 1]], np.uint8)
    whole = instance(0, np.ones((1, 4), bool))
    assert make_mask(mask, Segments(), [whole]).tolist() == [[1, 1, 1, 1]]


def test_without_a_segment_the_mask_is_what_it_was():
    assert refined() == MASK.tolist()
    assert refined(segment()) == MASK.tolist()


def plain(mask, segments, of_segment, of_region):
    """Pixel by pixel: for each the class of the smallest segment with it that counts."""
    classes = {}
    for number, pixels in enumerate(segments):
        shares = {int(c): int(((mask == c) & pixels).sum()) for c in np.unique(mask)}
        for c in (0, 255):
            shares.pop(c, None)
        best = max(shares, key=lambda c: (shares[c], -c), default=None)
        if best is not None and shares[best]:
            enough = shares[best] >= of_region * (mask == best).sum()
            if enough or shares[best] > of_segment * pixels.sum():
                classes[number] = best
    result = mask.copy()
    for y, x in np.ndindex(mask.shape):
        around = [number for number, pixels in enumerate(segments) if pixels[y, x]]
        counted = [number for number in around if number in classes]
        if counted:
            result[y, x] = classes[min(counted, key=lambda n: (segments[n].sum(), n))]
        elif around and mask[y, x] != 255:
            result[y, x] = 0
    return result


@pytest.mark.parametrize("seed", range(6))
def test_as_pixel_by_pixel(seed):
    rng = np.random.default_rng(seed)
    mask = rng.choice(np.array([0, 0, 3, 7, 255], np.uint8), (9, 11))
    segments = []
    for _ in range(12):
        top, left = rng.integers(8), rng.integers(10)
        pixels = np.zeros(mask.shape, bool)
        pixels[top : top + rng.integers(1, 7), left : left + rng.integers(1, 7)] = True
        segments.append(pixels & (rng.random(mask.shape) < 0.8))
    spec = Segments(segment_share=0.3, region_share=0.5)
    found = make_mask(mask, spec, [instance(0, pixels) for pixels in segments])
    np.testing.assert_array_equal(found, plain(mask, segments, 0.3, 0.5))
    assert (found != mask).any()
