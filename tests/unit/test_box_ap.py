"""Average precision of boxes by hand."""

import numpy as np
import pytest

from tags2masks.metrics.box_ap import Detections, Truth, box_ap, mean_over_classes
from tags2masks.metrics.rows import box_rows


def means(images, classes):
    """The figures' means over the classes."""
    return mean_over_classes(box_ap(images, classes))


def truth(*boxes, ignored=None):
    """True boxes of class 1."""
    edges = np.array(boxes, float).reshape(-1, 4)
    none = np.zeros(len(edges), bool)
    return Truth(edges, np.ones(len(edges), int), none if ignored is None else np.array(ignored))


def found(*boxes):
    """Boxes of class 1 with scores: (x1, y1, x2, y2, score)."""
    rows = np.array(boxes, float).reshape(-1, 5)
    return Detections(rows[:, :4], np.ones(len(rows), int), rows[:, 4])


# IoU 6.2/10 with the first box of the truth and 3/10 with the second.
TRUE = truth((0, 0, 10, 10), (20, 0, 30, 10))
FOUND = ((0, 0, 10, 6.2, 0.9), (20, 0, 30, 3, 0.8))


def test_one_of_two_boxes_is_found():
    # Precision 1 up to recall 1/2: 51 of 101 recalls. IoU 0.62 is enough for 0.5, 0.55 and 0.6.
    figures = means([(TRUE, found(*FOUND))], 1)
    assert figures == pytest.approx({"ap": 3 / 10 * 51 / 101, "ap50": 51 / 101, "ap75": 0})


def test_a_false_box_that_scores_higher_halves_the_precision():
    wrong = (50, 50, 60, 60, 0.95)
    assert means([(TRUE, found(wrong, *FOUND))], 1)["ap50"] == pytest.approx(51 / 101 / 2)
    assert means([(TRUE, found(*FOUND)), (truth(), found(wrong))], 1)["ap50"] == pytest.approx(
        51 / 101 / 2
    )


def test_what_is_found_of_an_ignored_box_counts_neither_way():
    true = truth((0, 0, 10, 10), (20, 0, 30, 10), (50, 50, 60, 60), ignored=[0, 0, 1])
    wrong = (50, 50, 60, 60, 0.95)
    assert means([(true, found(wrong, *FOUND))], 1)["ap50"] == pytest.approx(51 / 101)
    assert means([(true, found(*FOUND))], 1)["ap50"] == pytest.approx(51 / 101)


def test_classes_are_averaged_where_there_are_any():
    other = TRUE._replace(classes=np.array([1, 3]))
    exact = Detections(TRUE.edges, np.array([1, 2]), np.array([0.9, 0.8]))
    # Class 1 is found, class 3 is not, class 2 has no true box.
    assert means([(other, exact)], 3) == pytest.approx({"ap": 0.5, "ap50": 0.5, "ap75": 0.5})


def test_without_a_box_there_is_no_figure():
    assert all(np.isnan(value) for value in means([(truth(), found(*FOUND))], 1).values())
    ignored = truth((0, 0, 10, 10), ignored=[True])
    assert all(np.isnan(value) for value in means([(ignored, found(*FOUND))], 1).values())
    assert means([(TRUE, found())], 1) == {"ap": 0, "ap50": 0, "ap75": 0}
    assert all(np.isnan(value) for value in means([], 2).values())


def test_rows_of_classes_and_their_mean():
    figures = {"ap": np.array([0.5, np.nan]), "ap50": np.array([0.75, np.nan])}
    rows = box_rows(figures, mean_over_classes(figures), ["cat", "dog"], "val", 7)
    assert rows[["metric", "class", "value"]].to_numpy().tolist() == [
        ["ap", "mean", 0.5],
        ["ap50", "mean", 0.75],
        ["ap", "cat", 0.5],
        ["ap50", "cat", 0.75],
    ]
    assert set(rows["split"]) == {"val"} and set(rows["images"]) == {7}
    assert not rows["tuned_on_masks"].any()
