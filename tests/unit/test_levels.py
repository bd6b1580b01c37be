"""Mean scores on a class's pixels and on the background: by hand, and as rows."""

import numpy as np

from tags2masks.metrics.levels import level_rows, level_sums

TRUTH = np.array([[1, 1, 0, 0], [2, 255, 0, 1]], np.uint8)
CAT = np.array([[1, 0.5, 0.25, 0], [1, 1, 0.5, 0]], np.float32)
DOG = np.full((2, 4), 0.125, np.float32)


def test_means_by_hand():
    # cat: (1 + 0.5 + 0) / 3 on its pixels, (0.25 + 0 + 0.5) / 3 on the background, 255 nowhere.
    sums = level_sums(np.stack([DOG, CAT]), [2, 1], TRUTH, 3)
    assert sums.tolist() == [
        [[500_000, 125_000, 0], [1, 1, 0]],
        [[250_000, 125_000, 0], [1, 1, 0]],
    ]


def test_images_count_alike_and_classes_do():
    large = np.ones((20, 20), np.uint8)
    large[0, 0] = 0
    maps = np.full((1, 20, 20), 0.9, np.float32)
    sums = level_sums(CAT[None], [1], TRUTH, 2) + level_sums(maps, [1], large, 2)
    sums += level_sums(DOG[None], [2], TRUTH, 2)
    rows = level_rows(sums, ["cat", "dog"])
    assert [row[:2] for row in rows] == [
        (f"score_{place}", name)
        for place in ("inside", "outside")
        for name in ("mean", "cat", "dog")
    ]
    # cat: the mean of 0.5 and 0.9, and of 0.25 and 0.9.
    expected = [(0.7 + 0.125) / 2, 0.7, 0.125, (0.575 + 0.125) / 2, 0.575, 0.125]
    np.testing.assert_allclose([row[2] for row in rows], expected, atol=1e-6)


def test_a_class_without_a_pixel_or_a_map_has_no_figure():
    everywhere = np.ones((2, 4), np.uint8)
    sums = level_sums(np.stack([CAT, DOG]), [1, 2], everywhere, 2)
    values = {row[:2]: row[2] for row in level_rows(sums, ["cat", "dog"])}
    assert values["score_inside", "cat"] == round(float(CAT.mean()), 6)
    assert all(np.isnan(value) for key, value in values.items() if key[0] == "score_outside")
    assert np.isnan(values["score_inside", "dog"])
