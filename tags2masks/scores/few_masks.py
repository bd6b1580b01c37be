"""The background score of the highest mean IoU on a few training images with masks.

A plain search over the scores of GRID; supervision: tags and these masks.
"""

import numpy as np

from tags2masks.metrics.confusion import class_mean, scores
from tags2masks.metrics.curve import confusions

GRID = np.arange(1, 100, dtype=np.float32) / np.float32(100)
"""The scores to choose from: 0.01, 0.02, …, 0.99."""


def choose(histogram: np.ndarray) -> dict:
    """The chosen score as `background_score`, as plain JSON values, with mean IoUs as `iou`.

    histogram: int64 [K + 1, K + 1, 100], the sum of `metrics.curve.score_histogram` of the images
    at the scores of GRID. `areas`: the share of pixels above scores.
    Of equal scores the middle one is chosen: few images leave a range of them.
    """
    iou = class_mean(scores(confusions(histogram))["iou"])
    best = np.flatnonzero(np.isclose(iou, np.nanmax(iou), rtol=0, atol=1e-12))
    at = best[(len(best) - 1) // 2]
    counts = histogram.sum(axis=(0, 1))
    above = counts[::-1].cumsum()[::-1] / counts.sum()
    return {
        "background_score": round(float(GRID[at]), 2),
        "iou": [float(f"{value:.6g}") for value in iou],
        "areas": {
            "score": [0, *(round(float(score), 2) for score in GRID), 1],
            "share": [*(float(f"{share:.6g}") for share in above), 0],
        },
    }
