"""Confusion matrices of masks, and scores from them."""

from collections.abc import Sequence

import numpy as np

from tags2masks.mask_ids import IGNORED

Rows = list[tuple[str, str, float]]
"""(metric, class, value) of figures."""


def confusion(truth: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by true id (rows) and label (columns): int64 [K + 1, K + 2].

    truth, labels: uint8 [H, W] with ids 0 (background) to K = `classes`, or 255.
    Pixels with truth 255 are not counted. Pixels with label 255 count in the last column.
    Raises ValueError if the shapes differ or another id occurs.
    """
    if truth.shape != labels.shape:
        raise ValueError(f"truth is {truth.shape}, labels are {labels.shape}")
    refuse_unknown_ids(truth, classes, "truth")
    refuse_unknown_ids(labels, classes, "labels")
    pairs = truth.astype(np.intp) * 256 + labels
    counts = np.bincount(pairs.ravel(), minlength=256 * 256).reshape(256, 256)
    return counts[: classes + 1, [*range(classes + 1), IGNORED]]


def refuse_unknown_ids(ids: np.ndarray, classes: int, what: str) -> None:
    """Raise ValueError when an id is neither in 0..classes nor 255."""
    counts = np.bincount(ids.ravel(), minlength=256)
    unknown = np.flatnonzero(counts[classes + 1 : IGNORED])
    if len(unknown):
        raise ValueError(
            f"{what} hold the id {unknown[0] + classes + 1}; valid are 0 to {classes} and 255"
        )


def scores(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """`iou`, `precision`, `recall` and `f1` of each class, background first: float64 [..., K + 1].

    matrix: [..., K + 1, K + 1], or with the last column of `confusion`, which is skipped: pixels
    without a label count neither as right nor as wrong. Report `labelled_share` beside these
    scores.

    A class in neither truth nor labels is NaN in all four. Otherwise all four are numbers:
    precision is 0 without predicted pixels, recall is 0 without true pixels.
    """
    square = matrix[..., : matrix.shape[-2]]
    right = np.diagonal(square, axis1=-2, axis2=-1)
    true, given = square.sum(axis=-1), square.sum(axis=-2)
    either = true + given - right
    return {
        "iou": _share(right, either, either),
        "precision": _share(right, given, either),
        "recall": _share(right, true, either),
        "f1": _share(2 * right, true + given, either),
    }


def _share(part: np.ndarray, whole: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """part / whole; 0/0 is 0 if the class occurs, otherwise NaN."""
    return np.where(seen > 0, part / np.maximum(whole, 1), np.nan)


def class_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the classes (last axis) with background, ignoring NaN, as in VOC.

    NaN if all are NaN.
    """
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def with_mean(metric: str, values: np.ndarray, classes: Sequence[str]) -> Rows:
    """The rows of a metric: the `class_mean`, followed by each class; values: [K]."""
    named = zip(["mean", *classes], [class_mean(values), *values], strict=True)
    return [(metric, name, float(value)) for name, value in named]


def labelled_share(matrix: np.ndarray) -> float:
    """Share of the pixels with truth that have a label; NaN if no pixel has truth.

    matrix: [K + 1, K + 2], from `confusion`.
    """
    total = matrix.sum()
    return float(matrix[:, :-1].sum() / total) if total else float("nan")
