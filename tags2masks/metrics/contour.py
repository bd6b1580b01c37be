"""Contour F-score of masks: the boundary measure of DAVIS.

Source: Perazzi et al., "A benchmark dataset and evaluation methodology for video object
segmentation" (CVPR 2016), with boundaries as in its public code. As in Jonnarth et al.,
"Activation-Based Sampling for Pixel- to Image-Level Aggregation in Weakly-Supervised Segmentation",
section 4.1, matched boundary pixels are summed per class over all images. Precision, recall and F
are computed from the sums, and the mean is over the foreground classes.

Label 255 is background here, in the truth as in that paper, and in masks too. A class without
boundary pixels in truth and masks has no score; the paper's code gives it 1.
"""

import math
from collections.abc import Sequence

import numpy as np

from tags2masks.metrics.confusion import Rows, refuse_unknown_ids, with_mean


def tolerance(size: tuple[int, int]) -> int:
    """The tolerance in pixels for an (H, W) image: 0.008 of its diagonal, rounded up.

    Raises ValueError for a size without pixels.
    """
    if min(size) < 1:
        raise ValueError(f"an image of {size[0]} × {size[1]} pixels has no diagonal")
    return math.ceil(0.008 * math.hypot(*size))


def boundary(region: np.ndarray) -> np.ndarray:
    """The pixels that differ from their right, lower or lower right neighbour: bool [H, W].

    region: bool [H, W]. Neighbours outside the image count as equal, so a region has no boundary at
    the image's border. This is seg2bmap in the benchmark's code.
    """
    padded = np.pad(region, ((0, 1), (0, 1)), mode="edge")
    right, lower, lower_right = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (region != right) | (region != lower) | (region != lower_right)


def matched(pixels: np.ndarray, others: np.ndarray, radius: int) -> int:
    """The number of `pixels` with a pixel of `others` at a distance of at most `radius`.

    pixels, others: bool [H, W]. Boundaries have few pixels, so it is faster to look up their
    neighbours, nearest first, than to dilate `others`.
    """
    there = np.pad(others, radius)
    down = np.arange(-radius, radius + 1)[:, None]
    far = down**2 + down.T**2
    inside = far <= radius**2
    steps = (down * there.shape[1] + down.T)[inside][np.argsort(far[inside], kind="stable")]
    there = there.ravel()
    unmatched = places = np.flatnonzero(np.pad(pixels, radius))
    for step in steps:
        unmatched = unmatched[~there[unmatched + step]]
    return len(places) - len(unmatched)


def contour_counts(truth: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Counts of boundary pixels of an image by class: int64 [4, K], to be summed over images.

    Rows: matched and all boundary pixels of the labels, matched and all boundary pixels of the
    truth.
    truth, labels: uint8 [H, W] with ids 0 (background) to K = `classes`, or 255 (background too).
    Raises ValueError if the shapes differ or another id occurs.
    """
    if truth.shape != labels.shape:
        raise ValueError(f"truth is {truth.shape}, labels are {labels.shape}")
    refuse_unknown_ids(truth, classes, "truth")
    refuse_unknown_ids(labels, classes, "labels")
    radius = tolerance(truth.shape)
    shown = np.bincount(truth.ravel(), minlength=256) + np.bincount(labels.ravel(), minlength=256)
    counts = np.zeros((4, classes), np.int64)
    for number in np.flatnonzero(shown[1 : classes + 1]) + 1:
        given, true = boundary(labels == number), boundary(truth == number)
        counts[:, number - 1] = (
            matched(given, true, radius),
            given.sum(),
            matched(true, given, radius),
            true.sum(),
        )
    return counts


def contour_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """`precision`, `recall` and `f` of each class's boundary: float64 [K].

    counts: [4, K], sums of `contour_counts`. All three are NaN for a class without boundary pixels;
    otherwise they are numbers, 0 if there is nothing to match.
    """
    matched_given, given, matched_true, true = counts
    precision = matched_given / np.maximum(given, 1)
    recall = matched_true / np.maximum(true, 1)
    both = precision + recall
    f = 2 * precision * recall / np.where(both > 0, both, 1)
    figures = {"precision": precision, "recall": recall, "f": f}
    return {name: np.where(given + true > 0, values, np.nan) for name, values in figures.items()}


def contour_rows(counts: np.ndarray, classes: Sequence[str]) -> Rows:
    """`contour_f`: (metric, class, value) of each class and their mean; counts: [4, K]."""
    return with_mean("contour_f", contour_scores(counts)["f"], classes)
