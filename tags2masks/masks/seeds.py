"""Upsampling of stored maps to scores, and seeds from scores."""

from collections.abc import Sequence

import numpy as np

from tags2masks.errors import UserError


def upsample(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Upsample maps to the image's size, bilinearly, as with `align_corners=False`.

    maps: float [K, h, w] with values 0..1, at any stride; size: (H, W). Returns float32 [K, H, W].
    A stored map has ceil(H / stride) rows, which are stretched to H, not to stride · h and cropped.
    Raises UserError if a score is outside 0..1 or NaN.

    In numpy: worker processes import this module, and torch costs seconds and 600 MB each.
    """
    scores = maps.astype(np.float32)
    if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
        raise UserError(
            "maps hold scores outside 0 to 1 or that are no numbers: the classifier has diverged; "
            "lower its learning rate"
        )
    for axis, side in ((2, size[1]), (1, size[0])):
        below, above, share = _neighbours(scores.shape[axis], side)
        start = scores.take(below, axis)
        # start + share * (end - start) keeps equal scores exactly equal.
        scores = scores.take(above, axis)
        scores -= start
        scores *= share if axis == 2 else share[:, None]
        scores += start
    return scores


def _neighbours(stored: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel along a side: the cells before and after, and the weight of the latter."""
    centres = (np.arange(wanted) + 0.5) * (stored / wanted) - 0.5
    centres = centres.clip(0, stored - 1)
    before = centres.astype(np.intp)
    return before, (before + 1).clip(max=stored - 1), (centres - before).astype(np.float32)


def best_class(
    scores: np.ndarray, class_ids: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's best score, float32 [H, W], and the id of its class, uint8 [H, W].

    scores: [K, H, W]; class_ids: the K mask ids. For ties the first class counts, as in argmax.
    Without classes (K = 0) scores and ids are 0.
    Raises ValueError if the two have different K.
    """
    if len(scores) != len(class_ids):
        raise ValueError(f"{len(scores)} maps for {len(class_ids)} class ids")
    if not len(scores):
        return np.zeros(scores.shape[1:], np.float32), np.zeros(scores.shape[1:], np.uint8)
    best = scores[0].astype(np.float32)
    ids = np.full(best.shape, class_ids[0], np.uint8)
    for layer, number in zip(scores[1:].astype(np.float32), class_ids[1:], strict=True):
        ids[layer > best] = number
        np.maximum(best, layer, out=best)
    return best, ids


def seed(
    scores: np.ndarray, class_ids: Sequence[int] | np.ndarray, background_score: float
) -> np.ndarray:
    """The seed, uint8 [H, W]: the best class where it scores above the background score, else 0.

    scores: float [K, H, W]. The comparison is made in float32, as in `metrics.curve`, and the
    background wins ties.
    """
    best, ids = best_class(scores, class_ids)
    ids[best <= np.float32(background_score)] = 0
    return ids
