"""The one-pass curve against the plain loop over thresholds, exactly."""

import numpy as np
import pytest

from tags2masks.config.masks import Threshold
from tags2masks.masks.seeds import upsample
from tags2masks.masks.threshold import make_mask
from tags2masks.metrics.confusion import confusion
from tags2masks.metrics.curve import confusions, score_histogram, thresholds


def plain_curve(scores, class_ids, truth, limits, classes):
    """argmax over [threshold, maps] at every threshold, in float32."""
    ids = np.array([0, *class_ids], np.uint8)
    matrices = []
    for limit in limits:
        background = np.full((1, *truth.shape), limit, np.float32)
        stack = np.concatenate([background, scores.astype(np.float32)])
        matrices.append(confusion(truth, ids[stack.argmax(axis=0)], classes)[:, :-1])
    return np.array(matrices)


def random_case(seed, dtype, n):
    """Scores of which a third lie on a threshold, a third on another class's score."""
    rng = np.random.default_rng(seed)
    limits = thresholds(n, 0.3)
    scores = rng.random((3, 17, 23)).astype(dtype)
    on_limit = rng.random(scores.shape) < 0.3
    scores[on_limit] = rng.choice(limits, on_limit.sum()).astype(dtype)
    tied = rng.random(scores.shape[1:]) < 0.3
    scores[2][tied] = scores[0][tied]
    scores[:, 0], scores[:, 1] = 0, 1
    truth = rng.choice(np.array([0, 1, 2, 3, 4, 255], np.uint8), scores.shape[1:])
    return scores, [4, 1, 3], truth, limits


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("n", [2, 7, 100, 1000])
def test_equal_to_the_plain_loop(dtype, n):
    scores, class_ids, truth, limits = random_case(n, dtype, n)
    histogram = score_histogram(scores, class_ids, truth, limits, 4)
    assert histogram.shape == (5, 5, len(limits) + 1)
    assert histogram.sum() == (truth != 255).sum()
    expected = plain_curve(scores, class_ids, truth, limits, 4)
    np.testing.assert_array_equal(confusions(histogram), expected)


def test_thresholds_closer_than_a_cell_and_at_the_ends():
    rng = np.random.default_rng(1)
    limits = np.array([0, 1e-7, 0.5, 0.50001, 0.50002, 0.50003, 0.9999, 1], np.float32)
    scores = rng.choice(limits, (2, 30, 30))
    scores[rng.random(scores.shape) < 0.5] += np.float32(1e-5)
    truth = rng.integers(0, 3, (30, 30)).astype(np.uint8)
    histogram = score_histogram(scores, [1, 2], truth, limits, 2)
    np.testing.assert_array_equal(
        confusions(histogram), plain_curve(scores, [1, 2], truth, limits, 2)
    )


def test_counts_below_are_a_binary_searchs_for_scores_beside_and_on_cell_edges():
    edges = np.concatenate([np.arange(1, 1000) / 1000, np.arange(1, 1024) / 1024])
    edges = edges.astype(np.float32)
    around = np.concatenate([np.nextafter(edges, 0), edges, np.nextafter(edges, 1)])
    limits = np.unique(np.random.default_rng(2).choice(around, 900))
    truth = np.zeros((1, len(around)), np.uint8)
    histogram = score_histogram(around[None, None], [1], truth, limits, 1)
    expected = np.bincount(np.searchsorted(limits, around), minlength=len(limits) + 1)
    np.testing.assert_array_equal(histogram[0, 1], expected)


def test_thresholds_are_compared_in_float32():
    """float32(0.3) is a little more than 0.3, but as a score it is no more than the threshold."""
    limits = np.array([0, 0.3, 1], np.float64)
    scores = np.full((1, 1, 1), 0.3, np.float32)
    assert scores[0, 0, 0] > limits[1]
    histogram = score_histogram(scores, [1], np.zeros((1, 1), np.uint8), limits, 1)
    assert histogram[0, 1].tolist() == [0, 1, 0, 0]


def test_by_hand():
    """Truth 1 1 0; scores 0.5, 0.2 and 0.4 of class 1; thresholds 0, 0.4, 1."""
    limits = np.array([0, 0.4, 1], np.float32)
    scores = np.array([[[0.5, 0.2, 0.4]]], np.float32)
    histogram = score_histogram(scores, [1], np.array([[1, 1, 0]], np.uint8), limits, 1)
    assert histogram[1, 1].tolist() == [0, 1, 1, 0]
    assert histogram[0, 1].tolist() == [0, 1, 0, 0]  # 0.4 is not above 0.4
    assert confusions(histogram).tolist() == [
        [[0, 1], [0, 2]],
        [[1, 0], [1, 1]],
        [[1, 0], [2, 0]],
    ]


def test_without_a_class_all_is_background():
    truth = np.array([[0, 2], [255, 1]], np.uint8)
    histogram = score_histogram(np.zeros((0, 2, 2)), [], truth, thresholds(2, 0.3), 2)
    assert histogram[:, 0, 0].tolist() == [1, 1, 1] and histogram.sum() == 3
    expected = [[1, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert confusions(histogram).tolist() == [expected] * 4


def test_images_add_up():
    limits = thresholds(10, 0.3)
    one, two = (random_case(seed, np.float32, 10) for seed in (1, 2))
    parts = [score_histogram(s, c, t, limits, 4) for s, c, t, _ in (one, two)]
    np.testing.assert_array_equal(
        confusions(sum(parts)), confusions(parts[0]) + confusions(parts[1])
    )


@pytest.mark.parametrize("tau", [0.0, 0.15, 0.3, 0.37, 0.9, 1.0])
def test_the_curve_judges_the_masks_of_the_threshold_method(tau):
    """float16 maps that hold the threshold's neighbours: the last bit decides."""
    rng = np.random.default_rng(3)
    near = np.float16(tau) + np.array([-1, 0, 1]) * np.spacing(np.float16(tau))
    maps = rng.choice(near.clip(0, 1), (2, 8, 6)).astype(np.float16)
    truth = rng.integers(0, 4, (29, 24)).astype(np.uint8)
    limits = thresholds(100, tau)
    matrices = confusions(score_histogram(upsample(maps, truth.shape), [3, 1], truth, limits, 3))
    image = np.zeros((*truth.shape, 3), np.uint8)
    mask = make_mask(image, maps, [3, 1], Threshold(background_score=tau))
    at = limits.tolist().index(np.float32(tau))
    np.testing.assert_array_equal(matrices[at], confusion(truth, mask, 3)[:, :-1])


def test_thresholds_hold_the_fixed_score_once():
    assert len(thresholds(100, 0.3)) == 101
    np.testing.assert_array_equal(thresholds(2, 0.3), np.float32([0, 0.3, 0.5, 1]))
    np.testing.assert_array_equal(thresholds(4, 0.75), np.float32([0, 0.25, 0.5, 0.75, 1]))


@pytest.mark.parametrize(
    ("class_ids", "truth", "message"),
    [
        ([1, 2], [[0, 1]], "1 maps for 2 class ids"),
        ([3], [[0, 1]], r"class ids \[3\] are not all in 1 to 2"),
        ([0], [[0, 1]], r"class ids \[0\] are not all in 1 to 2"),
        ([1], [[0, 7]], "truth hold the id 7"),
        ([1], [[0, 1, 1]], r"truth is \(1, 3\), scores are \(1, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(class_ids, truth, message):
    with pytest.raises(ValueError, match=message):
        score_histogram(
            np.zeros((1, 1, 2)), class_ids, np.array(truth, np.uint8), thresholds(2, 0.5), 2
        )
