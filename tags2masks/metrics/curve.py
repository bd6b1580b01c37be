"""Confusion matrices at every background score in one pass over the pixels.

At threshold t a pixel gets the class of its best score if the score exceeds t, otherwise
background. So its truth, its best class and the number of thresholds below its best score are
sufficient. A histogram of these three gives the confusion matrices of all thresholds.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.masks.seeds import best_class
from tags2masks.metrics.confusion import refuse_unknown_ids

CELLS = 1024  # a power of two, so that float32 scores are assigned to cells without rounding


def thresholds(n: int, fixed: float) -> np.ndarray:
    """float32 [T], ascending: 0/n, 1/n, … n/n, and the fixed background score among them."""
    return np.unique(np.append(np.arange(n + 1) / n, fixed).astype(np.float32))


def score_histogram(
    scores: np.ndarray,
    class_ids: Sequence[int] | np.ndarray,
    truth: np.ndarray,
    limits: np.ndarray,
    classes: int,
) -> np.ndarray:
    """`region_histogram` of one region, the whole image: int64 [K + 1, K + 1, T + 1]."""
    return region_histogram(scores, class_ids, truth, limits, classes, np.intp(0), 1)[0]


def region_histogram(
    scores: np.ndarray,
    class_ids: Sequence[int] | np.ndarray,
    truth: np.ndarray,
    limits: np.ndarray,
    classes: int,
    regions: np.ndarray,
    count: int,
) -> np.ndarray:
    """Count pixels by region, truth, best class and number of thresholds below the best score.

    scores: float [k, H, W], values 0..1, the classes present; class_ids: their ids in 1..K;
    truth: uint8 [H, W], 255 where a pixel does not count; limits: thresholds [T], ascending, 0..1;
    classes: K; regions: each pixel's region, bool or integer [H, W] in 0..count − 1.
    Returns int64 [count, K + 1, K + 1, T + 1]. Ties go to the first class, and to the background
    before any class. Scores and thresholds are compared in float32, as in `masks.seeds.seed`.
    Without a class all pixels count at [region, truth, 0, 0].
    Raises ValueError when shapes or ids do not fit.
    """
    if scores.shape[1:] != truth.shape:
        raise ValueError(f"truth is {truth.shape}, scores are {scores.shape[1:]}")
    if len(class_ids) and not (min(class_ids) >= 1 and max(class_ids) <= classes):
        raise ValueError(f"class ids {list(class_ids)} are not all in 1 to {classes}")
    refuse_unknown_ids(truth, classes, "truth")
    best, ids = best_class(scores, class_ids)
    below = _number_below(best, np.asarray(limits, np.float32))
    shape = (count, classes + 2, classes + 1, len(limits) + 1)
    row = np.minimum(truth, classes + 1).astype(np.intp)  # one more row for 255
    row += regions * np.intp(shape[1])
    index = (row * shape[2] + ids) * shape[3] + below
    return np.bincount(index.ravel(), minlength=np.prod(shape)).reshape(shape)[:, :-1]


def _number_below(scores: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The number of thresholds strictly below each score; a faster `np.searchsorted`.

    A table gives the number of thresholds below a score's cell; those in the cell are compared.
    """
    edges = np.arange(CELLS + 1, dtype=np.float32) / CELLS
    below_cell = np.searchsorted(limits, edges)
    most_in_a_cell = np.diff(below_cell, append=len(limits)).max()
    guarded = np.append(limits, np.float32(np.inf))
    cell = (scores * np.float32(CELLS)).astype(np.intp)
    number = below_cell.take(cell, mode="clip")
    for _ in range(most_in_a_cell):
        number += guarded.take(number) < scores
    return number


def confusions(histogram: np.ndarray) -> np.ndarray:
    """The confusion matrix at each threshold, int64 [T, K + 1, K + 1], rows truth.

    histogram: [K + 1, K + 1, T + 1], of one image or summed over many.
    """
    # At threshold j a class keeps the pixels whose score exceeds more than j thresholds.
    kept = histogram[..., ::-1].cumsum(axis=-1)[..., -2::-1]
    matrices = np.ascontiguousarray(np.moveaxis(kept, -1, 0))
    matrices[..., 0] = histogram.sum(axis=(1, 2)) - matrices[..., 1:].sum(axis=-1)
    return matrices
