"""Tidy rows from matrices."""

from dataclasses import replace

import numpy as np
import pytest

from tags2masks.metrics.confusion import scores
from tags2masks.metrics.quality import LabelQuality, MapQuality
from tags2masks.metrics.rows import (
    COLUMNS,
    CURVE_COLUMNS,
    curve_rows,
    error_rows,
    label_rows,
    map_rows,
    threshold_rows,
)

CLASSES = ["cat", "dog"]


def told(frame):
    """{(metric, class): value}; doubled rows would be lost, so none may be."""
    assert not frame.duplicated(["metric", "class"]).any()
    return dict(zip(zip(frame["metric"], frame["class"], strict=True), frame["value"], strict=True))


def test_label_rows_by_hand():
    # 10 pixels with a truth, 2 of them without a label; no dog anywhere.
    matrix = np.array([[4, 1, 0, 1], [1, 2, 0, 1], [0, 0, 0, 0]])
    contours = np.array([[6, 0], [8, 0], [3, 0], [4, 0]])  # precision and recall 3/4
    frame = label_rows(LabelQuality(matrix, [], contours), CLASSES, "train", 7)
    assert tuple(frame.columns) == COLUMNS
    assert told(frame) == {
        ("iou", "mean"): pytest.approx((4 / 6 + 2 / 4) / 2),
        ("iou", "background"): pytest.approx(4 / 6),
        ("iou", "cat"): pytest.approx(2 / 4),
        ("precision", "mean"): pytest.approx((4 / 5 + 2 / 3) / 2),
        ("precision", "background"): pytest.approx(4 / 5),
        ("precision", "cat"): pytest.approx(2 / 3),
        ("recall", "mean"): pytest.approx((4 / 5 + 2 / 3) / 2),
        ("recall", "background"): pytest.approx(4 / 5),
        ("recall", "cat"): pytest.approx(2 / 3),
        ("f1", "mean"): pytest.approx((8 / 10 + 4 / 6) / 2),
        ("f1", "background"): pytest.approx(8 / 10),
        ("f1", "cat"): pytest.approx(4 / 6),
        ("fg_precision", "mean"): pytest.approx(2 / 3),  # no dog is shown
        ("fp", "mean"): pytest.approx(1 / 4),
        ("fp", "cat"): pytest.approx(1 / 4),
        ("fn", "mean"): pytest.approx(1 / 4),
        ("fn", "cat"): pytest.approx(1 / 4),
        ("labelled", "mean"): pytest.approx(8 / 10),
        ("contour_f", "mean"): pytest.approx(3 / 4),  # without the background, which has none
        ("contour_f", "cat"): pytest.approx(3 / 4),
    }
    assert set(frame["split"]) == {"train"} and set(frame["images"]) == {7}
    assert frame["threshold"].isna().all() and not frame["tuned_on_masks"].any()


def test_label_rows_of_nothing_are_none():
    nothing = LabelQuality(np.zeros((3, 4), np.int64), [], np.zeros((4, 2), np.int64))
    assert label_rows(nothing, CLASSES, "val", 0).empty


def test_errors_by_hand():
    # Pixels: true cat 6, of which 3 are found and 1 has no label; true dog 5, 4 found. 2 pixels of
    # background and 1 of dog are wrongly cats, 1 of background and 2 of cat wrongly dogs.
    matrix = np.array([[10, 2, 1, 0], [0, 3, 2, 1], [0, 1, 4, 0]])
    cat, dog = 3 + 3 + 2, 4 + 3 + 1
    assert error_rows(matrix, CLASSES) == [
        ("fp", "mean", pytest.approx((3 / cat + 3 / dog) / 2)),
        ("fp", "cat", pytest.approx(3 / cat)),
        ("fp", "dog", pytest.approx(3 / dog)),
        ("fn", "mean", pytest.approx((2 / cat + 1 / dog) / 2)),
        ("fn", "cat", pytest.approx(2 / cat)),
        ("fn", "dog", pytest.approx(1 / dog)),
    ]
    # What is wrong and what is missed is what the IoU lacks of 1.
    iou = scores(matrix)["iou"][1:]
    errors = {row[:2]: row[2] for row in error_rows(matrix, CLASSES)}
    for name, value in zip(CLASSES, iou, strict=True):
        assert errors["fp", name] + errors["fn", name] + value == pytest.approx(1)


# Figures of LPCAM's table 1, in percent: fp, fn, mean IoU over 21 classes with background.
LPCAM_TABLE_1 = [(26.5, 26.2, 48.8), (33.1, 16.2, 52.1), (29.8, 16.7, 54.9)]


@pytest.mark.parametrize(("fp", "fn", "iou"), LPCAM_TABLE_1)
def test_the_published_errors_fit_means_over_the_foreground(fp, fn, iou):
    """They leave the background an IoU that it can have; over all 21 classes, they exceed 100."""
    background = 21 * iou - 20 * (100 - fp - fn)
    assert 75 < background < 85
    assert fp + fn + iou > 101


# Matrices at three thresholds: mean iou (4/6 + 2/4)/2 = 0.583, 1, and (6/9 + 0)/2 = 0.333.
MATRICES = np.array(
    [
        [[4, 1, 0], [1, 2, 0], [0, 0, 0]],
        [[5, 0, 0], [0, 3, 0], [0, 0, 0]],
        [[6, 0, 0], [3, 0, 0], [0, 0, 0]],
    ]
)
LIMITS = np.array([0.1, 0.25, 0.3], np.float32)


def test_threshold_rows_stand_beside_each_other():
    frame = threshold_rows(MATRICES, LIMITS, 0.3, CLASSES, "train", 3)
    assert tuple(frame.columns) == COLUMNS
    fixed, tuned = frame[~frame["tuned_on_masks"]], frame[frame["tuned_on_masks"]]
    assert set(fixed["threshold"]) == {0.3}  # not the float32 beside it
    assert told(fixed)["iou", "mean"] == pytest.approx(1 / 3)
    assert told(fixed)["iou", "cat"] == 0
    assert told(fixed)["recall", "background"] == 1
    assert set(tuned["threshold"]) == {0.25}
    assert told(tuned)["iou", "mean"] == told(tuned)["f1", "cat"] == 1
    assert set(frame["class"]) == {"mean", "background", "cat"}
    assert set(frame["metric"]) == {"iou", "precision", "recall", "f1", "fg_precision", "fp", "fn"}
    assert told(tuned)["fg_precision", "mean"] == 1
    assert (told(fixed)["fp", "cat"], told(fixed)["fn", "cat"]) == (0, 1)
    assert told(tuned)["fp", "mean"] == told(tuned)["fn", "mean"] == 0


def test_of_equally_good_thresholds_the_lowest_is_best():
    frame = threshold_rows(MATRICES[[0, 1, 1]], LIMITS, 0.25, CLASSES, "train", 3)
    assert frame.groupby("tuned_on_masks")["threshold"].unique().map(list).to_dict() == {
        False: [0.25],
        True: [0.25],
    }


def test_threshold_rows_want_the_fixed_score_among_the_thresholds():
    with pytest.raises(ValueError, match=r"0\.2 is not among the thresholds"):
        threshold_rows(MATRICES, LIMITS, 0.2, CLASSES, "train", 3)


def test_curve_rows_by_hand():
    frame = curve_rows(MATRICES, LIMITS, CLASSES)
    assert tuple(frame.columns) == CURVE_COLUMNS
    expected = [
        (0.1, "background", 4 / 6),
        (0.1, "cat", 2 / 4),
        (0.1, "mean", 7 / 12),
        (0.25, "background", 1),
        (0.25, "cat", 1),
        (0.25, "mean", 1),
        (0.3, "background", 6 / 9),
        (0.3, "cat", 0),
        (0.3, "mean", 1 / 3),
    ]
    assert [row[:2] for row in frame.itertuples(index=False)] == [row[:2] for row in expected]
    np.testing.assert_allclose(frame["iou"], [row[2] for row in expected])


def test_contours_of_maps_stand_at_the_fixed_score_alone():
    histogram = np.zeros((1, 3, 3, 4), np.int64)
    histogram[0, 1, 1] = [0, 1, 1, 2]  # true cat, mapped as cat at higher and higher scores
    high = np.zeros((2, 2, 3), np.int64)
    contours = np.array([[1, 0], [2, 0], [2, 3], [4, 3]])
    levels = np.zeros((2, 2, 2), np.int64)
    quality = MapQuality(histogram, high, contours, levels)
    frame, _ = map_rows(quality + quality, LIMITS, 0.3, CLASSES, "train", 2)
    found = frame[frame["metric"] == "contour_f"]
    assert found[["class", "value", "threshold", "tuned_on_masks"]].to_numpy().tolist() == [
        ["mean", 0.25, 0.3, False],
        ["cat", 0.5, 0.3, False],
        ["dog", 0, 0.3, False],
    ]
    none, _ = map_rows(replace(quality, contours=contours * 0), LIMITS, 0.3, CLASSES, "train", 2)
    assert "contour_f" not in set(none["metric"])
    without_truth = replace(quality, histogram=histogram * 0, contours=contours * 0)
    assert map_rows(without_truth, LIMITS, 0.3, CLASSES, "train", 2)[0].empty
