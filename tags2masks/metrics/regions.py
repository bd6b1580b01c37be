"""Recall in discriminative and non-discriminative regions.

Source: Maruf et al., "Beyond discriminative regions" (2023), definitions 2.1 and 2.2, section 4.2.
The discriminative region (DR) of a class is where its true pixels have a CAM of at least 0.25, the
non-discriminative region (NDR) is the rest of its true pixels. The paper does not say how images
are combined; here, as for IoU, counts are summed over a split per class, and the mean is over the
classes. The background has no CAM and therefore no region.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.metrics.confusion import Rows, with_mean

CAM_THRESHOLD = np.float32(0.25)
"""A true pixel whose class has a CAM of this or more is discriminative."""

MAP_THRESHOLD = np.float32(0.15)
"""A true pixel whose class has a map of this or more is in the high (saliency) region."""

REGIONS = ("ndr", "dr")  # the order of all arrays here


def own_scores(
    scores: np.ndarray, class_ids: Sequence[int] | np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """Each pixel's score of its true class: float32 [H, W], 0 where that class has no map.

    scores: float [k, H, W]; class_ids: their k ids; truth: uint8 [H, W].
    """
    own = np.zeros(truth.shape, np.float32)
    for layer, number in zip(scores, class_ids, strict=True):
        np.copyto(own, layer, where=truth == number)
    return own


def discriminative(
    cams: np.ndarray, class_ids: Sequence[int] | np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """bool [H, W]: the discriminative regions of all classes; arguments as for `own_scores`."""
    return own_scores(cams, class_ids, truth) >= CAM_THRESHOLD


def high_counts(own: np.ndarray, inside: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by whether their own score is high, whether they are in DR, and truth.

    own: as `own_scores` gives it, of the maps to judge; inside: as `discriminative` gives it.
    Returns int64 [2, 2, K + 1], at [high, inside, true id].
    """
    group = (own >= MAP_THRESHOLD) * np.intp(2) + inside
    counts = np.bincount((group * 256 + truth).ravel(), minlength=4 * 256)
    return counts.reshape(2, 2, 256)[..., : classes + 1]


def region_recall(matrix: np.ndarray) -> np.ndarray:
    """The share of a region's pixels that have the right label, float64 [..., K], no background.

    matrix: confusions [..., K + 1, K + 1] of that region's pixels alone, or with the last column of
    `confusion`, which does not count, as in `confusion.scores`. NaN where a class has no pixel.
    """
    square = matrix[..., : matrix.shape[-2]]
    right = np.diagonal(square, axis1=-2, axis2=-1)[..., 1:]
    true = square.sum(axis=-1)[..., 1:]
    return np.where(true > 0, right / np.maximum(true, 1), np.nan)


def recall_rows(matrices: np.ndarray, classes: Sequence[str]) -> Rows:
    """`dr_recall` and `ndr_recall`: (metric, class, value) of each class and their mean.

    matrices: [2, K + 1, …], of the pixels outside DR and of those in it.
    """
    recalls = dict(zip(REGIONS, region_recall(matrices), strict=True))
    return [
        row
        for region in reversed(REGIONS)
        for row in with_mean(f"{region}_recall", recalls[region], classes)
    ]


def share_rows(counts: np.ndarray, classes: Sequence[str]) -> Rows:
    """`hsr_dr`, `lsr_dr`, `hsr_ndr`, `lsr_ndr`: shares of a class's true pixels; they sum to 1.

    counts: [2, 2, K + 1], sums of `high_counts`.
    """
    foreground = counts[..., 1:]
    true = foreground.sum(axis=(0, 1))
    shares = np.where(true > 0, foreground / np.maximum(true, 1), np.nan)
    return [
        row
        for inside, region in reversed(list(enumerate(REGIONS)))
        for high, height in ((1, "hsr"), (0, "lsr"))
        for row in with_mean(f"{height}_{region}", shares[high, inside], classes)
    ]
