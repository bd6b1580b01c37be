"""Maps of objects of any class against pixel masks, at every score in one pass.

A pixel is an object's if any class is there. Counted are the pixels of each true class by the
number of thresholds below their score, which is enough for the objects' figures and for P-NOC's
"true masks as prior" (David et al., 2023, section 5.0.1). There a salient pixel of the background
is of a random class of its image, in the public code; here each of them has an equal part of it.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tags2masks.masks.seeds import upsample
from tags2masks.metrics.confusion import class_mean
from tags2masks.metrics.quality import Chunk, measured_images
from tags2masks.metrics.rows import curve_rows, frame, plain, threshold_rows

OBJECT = "object"


def object_counts(
    chunk: Chunk, table: np.ndarray, classes: Sequence[str], limits: np.ndarray
) -> np.ndarray:
    """Pixels of a chunk by true id and number of thresholds below their score: [2, K + 1, T + 1].

    Second, the background's pixels alone, in equal parts by the classes of their image; at id 0
    those of images without a class.
    Arrays of the shard are maps, float16 [1, h, w], or masks, uint8 [H, W], which count as scores 0
    and 1. limits: thresholds, float32 [T], ascending. Pixels of truth 255 are not counted.
    """
    total = np.zeros((len(classes) + 1, len(limits) + 1))
    shared = np.zeros_like(total)
    for measured in measured_images(chunk, table, classes):
        truth, array = measured.truth, measured.array
        scores = array.astype(np.float32) if array.ndim == 2 else upsample(array, truth.shape)[0]
        below = np.searchsorted(limits, scores)  # a threshold equal to the score is not below it
        pairs = np.minimum(truth, len(classes) + 1).astype(np.intp) * total.shape[1] + below
        counts = np.bincount(pairs.ravel(), minlength=total.size + total.shape[1])
        own = counts[: total.size].reshape(total.shape)
        total += own
        present = 1 + np.flatnonzero(own[1:].any(1)) if own[1:].any() else [0]
        shared[present] += own[0] / len(present)
    return np.stack([total, shared])


def object_rows(
    counts: np.ndarray, limits: np.ndarray, score: float, classes: Sequence[str], images: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tidy rows of maps of objects on train, and the curve of their iou.

    counts: from `object_counts`; score: the reported one, among the limits; images: how many were
    measured. Rows are those of `rows.threshold_rows` for the classes background and `object`, and
    `prior_iou` of each class at both scores: of masks with the true class wherever a pixel counts
    as an object's, and background elsewhere. An object's pixel that does not count is missed; a
    background's that does is wrong for the classes of its image, in equal parts. These are made
    with true masks, so they have tuned_on_masks set.
    """
    matrices, prior = _matrices(counts[0]), _prior_iou(*counts)
    rows = threshold_rows(matrices, limits, score, [OBJECT], "train", images)
    rows = rows[~rows["metric"].isin(["fg_precision", "fp", "fn"])]  # means of the only class
    parts = [rows]
    for at in dict.fromkeys(rows["threshold"]):
        (place,) = np.flatnonzero(limits == np.float32(at))
        values = [class_mean(prior[place]), *prior[place]]
        named = zip(["mean", "background", *classes], values, strict=True)
        own = [("prior_iou", name, value) for name, value in named]
        parts.append(frame(own, "train", plain(limits[place]), True, images))
    return pd.concat(parts, ignore_index=True), curve_rows(matrices, limits, [OBJECT])


def _salient(counts: np.ndarray) -> np.ndarray:
    """Pixels above each threshold by id: [T, K + 1]."""
    return counts[:, ::-1].cumsum(1)[:, -2::-1].T


def _matrices(counts: np.ndarray) -> np.ndarray:
    """Confusions of background and objects at each threshold: [T, 2, 2], rows truth."""
    salient, total = _salient(counts), counts.sum(1)
    above = np.stack([salient[:, 0], salient[:, 1:].sum(1)], 1)
    below = np.stack([total[:1].sum(), total[1:].sum()]) - above
    return np.stack([below, above], 2)


def _prior_iou(counts: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """The iou of background and classes with true masks as prior: float64 [T, K + 1]."""
    salient, total = _salient(counts), counts.sum(1)
    missed = total - salient
    background = missed[:, 0] / np.maximum(total[0] + missed[:, 1:].sum(1), 1)
    either = np.maximum(total[1:] + _salient(shared)[:, 1:], 1)
    shares = np.column_stack([background, salient[:, 1:] / either])
    return np.where(total > 0, shares, np.nan)
