"""Confusion matrices and scores against numbers counted by hand."""

import numpy as np
import pytest

from tags2masks.metrics.confusion import class_mean, confusion, labelled_share, scores

# Two classes. Truth: three pixels of background, two of class 1, one of class 2, one ignored,
# one more of class 1 that has no label.
TRUTH = np.array([[0, 0, 0, 1], [1, 2, 255, 1]], np.uint8)
LABELS = np.array([[0, 0, 1, 1], [0, 1, 2, 255]], np.uint8)
MATRIX = [
    [2, 1, 0, 0],
    [1, 1, 0, 1],
    [0, 1, 0, 0],
]


def test_confusion_counts_each_pixel_once():
    matrix = confusion(TRUTH, LABELS, 2)
    assert matrix.tolist() == MATRIX
    assert matrix.dtype == np.int64


def test_scores_by_hand():
    found = scores(np.array(MATRIX))
    # background: 2 right, 3 true, 3 given; class 1: 1 right, 2 true, 3 given; class 2: 0, 1, 0.
    np.testing.assert_allclose(found["iou"], [2 / 4, 1 / 4, 0])
    np.testing.assert_allclose(found["precision"], [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(found["recall"], [2 / 3, 1 / 2, 0])
    np.testing.assert_allclose(found["f1"], [4 / 6, 2 / 5, 0])
    assert class_mean(found["iou"]) == pytest.approx(0.25)


def test_a_class_that_is_nowhere_has_no_score_and_does_not_count_in_the_mean():
    matrix = np.zeros((4, 5), np.int64)
    matrix[0, 0], matrix[0, 2] = 3, 1  # class 2 is in the labels alone; 1 and 3 are nowhere
    found = scores(matrix)
    np.testing.assert_array_equal(found["iou"], [0.75, np.nan, 0, np.nan])
    np.testing.assert_array_equal(found["precision"], [1, np.nan, 0, np.nan])
    np.testing.assert_array_equal(found["recall"], [0.75, np.nan, 0, np.nan])
    np.testing.assert_allclose(found["f1"], [6 / 7, np.nan, 0, np.nan])
    assert class_mean(found["iou"]) == 0.375


def test_no_pixel_at_all_gives_no_mean():
    matrix = confusion(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 1)
    assert matrix.sum() == 0
    assert np.isnan(class_mean(scores(matrix)["iou"]))
    assert np.isnan(labelled_share(matrix))


def test_labelled_share_counts_pixels_with_a_truth():
    assert labelled_share(np.array(MATRIX)) == pytest.approx(6 / 7)


def test_scores_of_a_stack_are_those_of_its_matrices():
    stack = np.random.default_rng(0).integers(0, 9, (5, 3, 3))
    stack[2, 1], stack[2, :, 1] = 0, 0
    together = scores(stack)
    for number, matrix in enumerate(stack):
        for metric, values in scores(matrix).items():
            np.testing.assert_array_equal(together[metric][number], values)


def test_most_classes():
    truth = np.arange(256, dtype=np.uint8)
    truth[254] = 0
    matrix = confusion(truth[None], truth[None], 253)
    assert matrix.shape == (254, 255)
    assert matrix[0, 0] == 2 and np.trace(matrix[1:, 1:]) == 253 and matrix.sum() == 255


@pytest.mark.parametrize(
    ("truth", "labels", "message"),
    [
        ([[3]], [[0]], "truth hold the id 3; valid are 0 to 2 and 255"),
        ([[0]], [[254]], "labels hold the id 254"),
        ([[0]], [[0, 0]], r"truth is \(1, 1\), labels are \(1, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(truth, labels, message):
    with pytest.raises(ValueError, match=message):
        confusion(np.array(truth, np.uint8), np.array(labels, np.uint8), 2)
