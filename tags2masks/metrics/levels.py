"""The mean score of a class on its pixels and on the background: whether maps leak or are narrow.

Of each image and each of its classes the mean over the class's true pixels, and over those of the
true background; then the mean over the images, and over the classes. No paper has these figures.
They tell apart maps that miss the object (both low) from maps that cover the scene (both high),
which the IoU at one score does not.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.metrics.confusion import Rows, with_mean

UNIT = 1_000_000
"""Means are summed in whole millionths, so that any order of the images gives the same sum."""

PLACES = ("inside", "outside")  # the order of all arrays here


def level_sums(
    scores: np.ndarray, class_ids: Sequence[int] | np.ndarray, truth: np.ndarray, classes: int
) -> np.ndarray:
    """The means of an image's classes, and how many there are: int64 [2, 2, K].

    scores: float [k, H, W], 0 to 1; class_ids: their k ids in 1..K; truth: uint8 [H, W], 255 where
    a pixel does not count. Returned at [place, (mean in millionths, 1), class]; zeros for a class
    that has no map, or no pixel there.
    """
    sums = np.zeros((len(PLACES), 2, classes), np.int64)
    background = truth == 0
    for layer, number in zip(scores, class_ids, strict=True):
        for place, pixels in enumerate((truth == number, background)):
            if pixels.any():
                mean = layer[pixels].mean(dtype=np.float64)
                sums[place, :, number - 1] = round(mean * UNIT), 1
    return sums


def level_rows(sums: np.ndarray, classes: Sequence[str]) -> Rows:
    """`score_inside` and `score_outside`: (metric, class, value) of each class and their mean.

    sums: [2, 2, K], of `level_sums`, over all images.
    """
    total, count = sums[:, 0], sums[:, 1]
    means = np.where(count > 0, total / np.maximum(count, 1) / UNIT, np.nan)
    return [
        row
        for place, values in zip(PLACES, means, strict=True)
        for row in with_mean(f"score_{place}", values, classes)
    ]
