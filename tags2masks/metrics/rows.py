"""The quality of maps and masks as tidy rows, for the artifacts' CSV files."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tags2masks.metrics.confusion import Rows, class_mean, labelled_share, scores, with_mean
from tags2masks.metrics.contour import contour_rows
from tags2masks.metrics.curve import confusions
from tags2masks.metrics.levels import level_rows
from tags2masks.metrics.quality import LabelQuality, MapQuality
from tags2masks.metrics.regions import MAP_THRESHOLD, recall_rows, share_rows

COLUMNS = ("split", "metric", "class", "value", "threshold", "tuned_on_masks", "images")
CURVE_COLUMNS = ("threshold", "class", "iou")


def label_rows(
    quality: LabelQuality,
    classes: Sequence[str],
    split: str,
    images: int,
    threshold: float = np.nan,
) -> pd.DataFrame:
    """Tidy rows (`COLUMNS`) of iou, precision, recall, f1 of each class and of their mean.

    classes: K names; images: how many were measured; threshold: the background score that the
    masks were made at, for methods that have one. `fg_precision` (class `mean`) is the mean
    precision of the foreground classes, `fp` and `fn` those of `error_rows`, `labelled` the share
    of pixels with a label; `contour_f` is that of `contour_rows`. With regions there are the rows
    of `regions.recall_rows` too. Classes without a score are left out.
    """
    rows = _rows(quality.matrix, classes, quality.regions)
    rows.append(("labelled", "mean", labelled_share(quality.matrix)))
    rows += contour_rows(quality.contours, classes)
    return frame(rows, split, threshold, False, images)


def threshold_rows(
    matrices: np.ndarray,
    limits: np.ndarray,
    background_score: float,
    classes: Sequence[str],
    split: str,
    images: int,
    regions: np.ndarray | None = None,
) -> pd.DataFrame:
    """The rows that confusions give, twice: at the reported background score, and at the best one.

    They are those of `label_rows` less `labelled` and `contour_f`.
    matrices: [T, K + 1, K + 1]; limits: float32 [T]; regions: [2, T, K + 1, K + 1], the same
    outside DR and in DR. The best threshold is the (first) one of the highest mean iou; it is
    chosen with pixel masks, so its rows have tuned_on_masks set.
    Raises ValueError when the reported score is not among the thresholds.
    """
    at_reported = np.flatnonzero(limits == np.float32(background_score))
    if not len(at_reported):
        raise ValueError(f"background score {background_score} is not among the thresholds")
    mean_iou = class_mean(scores(matrices)["iou"])
    at_best = 0 if np.isnan(mean_iou).all() else np.nanargmax(mean_iou)
    parts = []
    for at, tuned in ((at_reported[0], False), (at_best, True)):
        rows = _rows(matrices[at], classes, None if regions is None else regions[:, at])
        parts.append(frame(rows, split, plain(limits[at]), tuned, images))
    return pd.concat(parts, ignore_index=True)


def map_rows(
    quality: MapQuality,
    limits: np.ndarray,
    background_score: float,
    classes: Sequence[str],
    split: str,
    images: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All rows of maps, and the curve.

    The rows are those of `threshold_rows`, `contour_rows`, `level_rows` and `regions.share_rows`.
    Contours are those of the seeds at the reported background score; there are no rows if they were
    not counted. The threshold of the shares is the score from which a pixel counts as high.
    """
    parts = np.stack([confusions(histogram) for histogram in quality.histogram])
    matrices = parts.sum(axis=0)
    regions = parts if len(parts) > 1 else None
    rows = threshold_rows(matrices, limits, background_score, classes, split, images, regions)
    further = [(contour_rows(quality.contours, classes), plain(np.float32(background_score)))]
    further.append((level_rows(quality.levels, classes), np.nan))
    if regions is not None:
        further.append((share_rows(quality.high, classes), plain(MAP_THRESHOLD)))
    frames = [frame(part, split, threshold, False, images) for part, threshold in further]
    rows = pd.concat([rows, *(frame for frame in frames if len(frame))], ignore_index=True)
    return rows, curve_rows(matrices, limits, classes)


def ranking_rows(
    precisions: np.ndarray, mean: float, classes: Sequence[str], split: str, images: int
) -> pd.DataFrame:
    """Tidy rows (`COLUMNS`) of `average_precision` of each class, and of `map`, their mean.

    precisions: [K], NaN for classes that cannot be ranked, which are left out; images: how many
    were ranked.
    """
    rows = [("map", "mean", mean)]
    rows += [
        ("average_precision", name, value) for name, value in zip(classes, precisions, strict=True)
    ]
    return frame(rows, split, np.nan, False, images)


def box_rows(
    figures: dict[str, np.ndarray],
    means: dict[str, float],
    classes: Sequence[str],
    split: str,
    images: int,
) -> pd.DataFrame:
    """Tidy rows (`COLUMNS`) of the AP of boxes (`ap`, `ap50`, `ap75`): of each class, and means.

    figures: [K] each, NaN for classes without a box, which are left out; images: how many were
    looked at.
    """
    rows = [(metric, "mean", means[metric]) for metric in figures]
    rows += [
        (metric, name, value)
        for metric, values in figures.items()
        for name, value in zip(classes, values, strict=True)
    ]
    return frame(rows, split, np.nan, False, images)


def curve_rows(matrices: np.ndarray, limits: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Rows (`CURVE_COLUMNS`) of each class's iou, and their mean, at every threshold.

    matrices: [T, K + 1, K + 1]; limits: float32 [T]. Classes without a score are left out.
    """
    iou = scores(matrices)["iou"]
    table = np.column_stack([iou, class_mean(iou)])
    names = ["background", *classes, "mean"]
    return pd.DataFrame(
        [
            (plain(limit), name, value)
            for limit, values in zip(limits, table, strict=True)
            for name, value in zip(names, values, strict=True)
            if not np.isnan(value)
        ],
        columns=list(CURVE_COLUMNS),
    )


def _rows(matrix: np.ndarray, classes: Sequence[str], regions: np.ndarray | None) -> Rows:
    names, figures = ["mean", "background", *classes], scores(matrix)
    rows = [
        (metric, name, value)
        for metric, values in figures.items()
        for name, value in zip(names, [class_mean(values), *values], strict=True)
    ]
    rows.append(("fg_precision", "mean", class_mean(figures["precision"][1:])))
    rows += error_rows(matrix, classes)
    return rows if regions is None else rows + recall_rows(regions, classes)


def error_rows(matrix: np.ndarray, classes: Sequence[str]) -> Rows:
    """What a class's IoU lacks of 1: FP / (TP + FP + FN), `fp`, and FN / (TP + FP + FN), `fn`.

    Of each foreground class, and `mean` over them, as in LPCAM (Chen & Sun, CVPR 2023, table 1),
    which gives no formula: so computed, its three rows agree with its mean IoUs.
    matrix: [K + 1, K + 1], or with the last column of `confusion`, which is skipped as in `scores`.
    """
    square = matrix[:, : len(matrix)]
    right = np.diagonal(square)[1:]
    wrong, missed = square.sum(axis=0)[1:] - right, square.sum(axis=1)[1:] - right
    union = right + wrong + missed
    return [
        row
        for metric, errors in (("fp", wrong), ("fn", missed))
        for row in with_mean(
            metric, np.where(union > 0, errors / np.maximum(union, 1), np.nan), classes
        )
    ]


def frame(rows: Rows, split: str, threshold: float, tuned: bool, images: int) -> pd.DataFrame:
    """Rows of figures as a table (`COLUMNS`); those without a value are left out."""
    return pd.DataFrame(
        [
            (split, metric, name, float(value), threshold, tuned, images)
            for metric, name, value in rows
            if not np.isnan(value)
        ],
        columns=list(COLUMNS),
    )


def plain(limit: np.float32) -> float:
    """The threshold as written: 0.3 instead of its float32 value 0.30000001192…"""
    return float(str(limit))
