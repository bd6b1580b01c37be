"""The F of contours: counted by hand, and against distances between all pairs of pixels."""

import math

import numpy as np
import pytest
from skimage.morphology import isotropic_dilation

from tags2masks.metrics.contour import (
    boundary,
    contour_counts,
    contour_rows,
    contour_scores,
    matched,
    tolerance,
)


def square(top, left, side, size, number=1):
    ids = np.zeros(size, np.uint8)
    ids[top : top + side, left : left + side] = number
    return ids


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ((1, 1), 1),  # 0.011
        ((75, 100), 1),  # diagonal 125: 1 exactly
        ((76, 100), 2),  # 1.005
        ((375, 500), 5),  # diagonal 625: 5 exactly
        ((366, 500), 5),  # 4.96
        ((500, 376), 6),  # 5.005
        ((480, 854), 8),  # 7.84
        ((3000, 4000), 40),  # diagonal 5000: 40 exactly
    ],
)
def test_tolerance_by_hand(size, pixels):
    assert tolerance(size) == pixels


def test_boundary_by_hand():
    region = np.zeros((5, 6), bool)
    region[1:3, 2:4] = True
    # Half a pixel towards the origin: the ring around rows 0 to 2, columns 1 to 3.
    expected = np.array(
        [
            [0, 1, 1, 1, 0, 0],
            [0, 1, 0, 1, 0, 0],
            [0, 1, 1, 1, 0, 0],
            [0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0],
        ]
    )
    np.testing.assert_array_equal(boundary(region), expected)
    np.testing.assert_array_equal(boundary(~region), expected)


def test_the_images_border_is_no_boundary():
    region = np.zeros((4, 4), bool)
    region[2:, 2:] = True  # the lower right quarter, with the last row and column
    expected = np.array([[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(boundary(region), expected)
    assert not boundary(np.ones((4, 4), bool)).any()
    # The last row looks right and the last column down, each at two different pixels.
    assert boundary(np.array([[True, False, False]])).tolist() == [[True, False, False]]
    assert boundary(np.array([[True], [True], [False]])).tolist() == [[False], [True], [False]]


def test_discs_are_round():
    others = np.zeros((15, 15), bool)
    others[7, 7] = True
    for radius in (1, 2, 5, 6):
        down, right = np.indices(others.shape)
        inside = (down - 7) ** 2 + (right - 7) ** 2 <= radius**2
        assert matched(inside, others, radius) == inside.sum()
        assert matched(~inside, others, radius) == 0
    assert matched(others, np.zeros_like(others), 3) == 0
    assert matched(np.zeros_like(others), others, 3) == 0


def test_equal_masks_match_wholly():
    truth = square(2, 3, 5, (20, 30))
    truth[10:14, 10:20] = 2
    counts = contour_counts(truth, truth, 3)
    # The boundary of h × w pixels is a ring around (h + 1) × (w + 1): 2 (h + w) pixels.
    assert counts.tolist() == [[20, 28, 0]] * 4
    assert contour_scores(counts)["f"].tolist() == [1, 1, pytest.approx(math.nan, nan_ok=True)]


def test_a_square_moved_by_a_pixel_still_matches_and_by_more_does_not():
    size = (30, 40)  # diagonal 50: 0.4, so 1 pixel
    assert tolerance(size) == 1
    truth = square(5, 5, 4, size)
    near = contour_counts(truth, square(5, 6, 4, size), 1)
    assert near[:, 0].tolist() == [16, 16, 16, 16]
    # Rings of rows 4 to 8 and columns 4 to 8, and 7 to 11. At rows 4 and 8 columns 7 and 8 are on
    # both, and 9 (of the truth: 6) is next to one; at rows 5 to 7 columns 7 and 8 face each other.
    far = contour_counts(truth, square(5, 8, 4, size), 1)
    assert far[:, 0].tolist() == [9, 16, 9, 16]
    apart = contour_counts(truth, square(15, 25, 4, size), 1)
    assert apart[:, 0].tolist() == [0, 16, 0, 16]
    scores = [contour_scores(counts)["f"][0] for counts in (near, far, apart)]
    assert scores == [1, pytest.approx(9 / 16), 0]


def test_precision_and_recall_by_hand():
    size = (30, 40)
    truth = square(5, 5, 4, size)
    labels = truth + square(15, 25, 6, size)  # found, and another of 24 boundary pixels
    counts = contour_counts(truth, labels, 1)
    assert counts[:, 0].tolist() == [16, 40, 16, 16]
    found = {name: values[0] for name, values in contour_scores(counts).items()}
    assert found == {"precision": 0.4, "recall": 1, "f": pytest.approx(0.8 / 1.4)}
    swapped = contour_counts(labels, truth, 1)
    assert swapped[:, 0].tolist() == [16, 16, 16, 40]
    turned = {name: values[0] for name, values in contour_scores(swapped).items()}
    assert turned == {"precision": 1, "recall": 0.4, "f": pytest.approx(0.8 / 1.4)}


def test_classes_that_one_side_alone_shows_are_0_and_that_none_does_nan():
    size = (30, 40)
    counts = contour_counts(square(5, 5, 4, size, 1), square(5, 5, 4, size, 2), 3)
    assert counts.tolist() == [[0, 0, 0], [0, 16, 0], [0, 0, 0], [16, 0, 0]]
    for values in contour_scores(counts).values():
        np.testing.assert_array_equal(values, [0, 0, np.nan])
    rows = contour_rows(counts, ["cat", "dog", "emu"])
    assert rows[:3] == [("contour_f", "mean", 0), ("contour_f", "cat", 0), ("contour_f", "dog", 0)]
    assert rows[3][1] == "emu" and math.isnan(rows[3][2])


def test_a_class_that_fills_every_image_has_no_contour():
    full = np.ones((4, 5), np.uint8)
    assert np.isnan(contour_scores(contour_counts(full, full, 1))["f"]).all()


def test_255_is_background_on_both_sides():
    size = (30, 40)
    truth, labels = square(5, 5, 4, size), square(5, 8, 4, size)
    framed, hatched = square(3, 3, 9, size, 255), square(4, 4, 15, size, 255)
    framed[truth == 1], hatched[labels == 1] = 1, 1
    np.testing.assert_array_equal(
        contour_counts(framed, hatched, 1), contour_counts(truth, labels, 1)
    )


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"truth is \(2, 3\), labels are \(3, 2\)"):
        contour_counts(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 1)
    with pytest.raises(ValueError, match="labels hold the id 3; valid are 0 to 2 and 255"):
        contour_counts(np.zeros((1, 1), np.uint8), np.full((1, 1), 3, np.uint8), 2)
    with pytest.raises(ValueError, match="0 × 5 pixels"):
        contour_counts(np.zeros((0, 5), np.uint8), np.zeros((0, 5), np.uint8), 2)


def test_sums_over_images_are_not_the_mean_of_their_figures():
    """Images of two sizes: the larger square weighs by its boundary, at its own tolerance."""
    small, large = (30, 40), (75, 150)  # 1 pixel; diagonal 167.7: 1.34, so 2
    parts = [
        contour_counts(square(5, 5, 4, small), square(15, 25, 4, small), 1),
        contour_counts(square(5, 5, 20, large), square(5, 7, 20, large), 1),
    ]
    assert [part[:, 0].tolist() for part in parts] == [[0, 16, 0, 16], [80, 80, 80, 80]]
    together = contour_scores(sum(parts))["f"][0]
    assert together == pytest.approx(80 / 96)
    assert np.mean([contour_scores(part)["f"][0] for part in parts]) == 0.5


def plain_boundary(region):
    """The boundary pixel by pixel."""
    height, width = region.shape
    found = []
    for y in range(height):
        for x in range(width):
            others = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            there = [(min(a, height - 1), min(b, width - 1)) for a, b in others]
            if any(region[y, x] != region[place] for place in there):
                found.append((y, x))
    return np.array(found).reshape(-1, 2)


def plain_counts(truth, labels, classes):
    """Counts from the distances between all pairs of boundary pixels."""
    radius = math.ceil(0.008 * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    columns = []
    for number in range(1, classes + 1):
        given, true = plain_boundary(labels == number), plain_boundary(truth == number)
        near = ((given[:, None] - true[None]) ** 2).sum(axis=-1) <= radius**2
        columns.append((near.any(axis=1).sum(), len(given), near.any(axis=0).sum(), len(true)))
    return np.array(columns).T


def coarse(rng, size, cell):
    """Random ids in cells, some of them 255."""
    small = rng.choice(
        np.array([0, 0, 1, 2, 255], np.uint8), (-(-size[0] // cell), -(-size[1] // cell))
    )
    return small.repeat(cell, axis=0).repeat(cell, axis=1)[: size[0], : size[1]]


@pytest.mark.parametrize("size", [(13, 17), (40, 31), (150, 210), (9, 130)])
@pytest.mark.parametrize("cell", [1, 7, 25])
def test_fast_counts_are_the_plain_ones(size, cell):
    rng = np.random.default_rng([*size, cell])
    truth = coarse(rng, size, cell)
    labels = np.where(rng.random(size) < 0.9, np.roll(truth, (2, 1), axis=(0, 1)), truth)
    if cell == 25:
        labels = coarse(rng, size, cell + 4)
    if size[0] * size[1] > 10_000 and cell == 1:
        truth, labels = truth[:60, :60], labels[:60, :60]  # all pairs of noise are too many
    expected = plain_counts(truth, labels, 2)
    np.testing.assert_array_equal(contour_counts(truth, labels, 2), expected)


def test_matches_are_those_of_a_dilation():
    """scikit-image's exact dilation, on boundaries of a VOC image's size: 6 pixels."""
    rng = np.random.default_rng(0)
    truth, labels = coarse(rng, (500, 400), 60), coarse(rng, (500, 400), 47)
    given, true = boundary(labels == 1), boundary(truth == 1)
    radius = tolerance(truth.shape)
    assert radius == 6
    expected = [
        (given & isotropic_dilation(true, radius)).sum(),
        given.sum(),
        (true & isotropic_dilation(given, radius)).sum(),
        true.sum(),
    ]
    assert contour_counts(truth, labels, 2)[:, 0].tolist() == expected
    assert 0 < expected[0] < expected[1]
