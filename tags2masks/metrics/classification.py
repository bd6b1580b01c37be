"""Average precision of image-level scores."""

import numpy as np
from sklearn.metrics import average_precision_score


def average_precisions(scores: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """The average precision of each class, 0 to 1: float64 [K].

    scores: [N, K], higher means more likely; tags: [N, K], 0 or 1. NaN for a class without images,
    and for a class that all images show, which cannot be ranked.
    """
    precisions = np.full(tags.shape[1], np.nan)
    ranked = tags.any(axis=0) & ~tags.all(axis=0)
    if ranked.any():
        precisions[ranked] = average_precision_score(
            tags[:, ranked], scores[:, ranked], average=None
        )
    return precisions


def mean_average_precision(precisions: np.ndarray) -> float:
    """The mean over the classes that have an average precision; NaN when none has."""
    known = precisions[~np.isnan(precisions)]
    return float(known.mean()) if len(known) else float("nan")
