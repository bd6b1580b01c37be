"""The quality of maps and masks: measured a chunk of images at a time, told as tidy rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.data.truth import read_mask
from tags2masks.errors import UserError
from tags2masks.masks.seeds import upsample
from tags2masks.metrics.confusion import class_mean, confusion, labelled_share, scores
from tags2masks.metrics.sweep import score_histogram
from tags2masks.store import Shard

COLUMNS = ("split", "metric", "class", "value", "threshold", "tuned_on_masks", "images")
CURVE_COLUMNS = ("threshold", "class", "iou")


class Chunk(NamedTuple):
    """Some images of one shard, as much as one worker measures at a time.

    truths: (image, mask file, (H, W)) of each. Give whole paths where workers run elsewhere.
    """

    shard: str
    artifact_id: str
    images_sha: str
    truths: Sequence[tuple[str, str, tuple[int, int]]]


def map_confusions(
    chunk: Chunk, table: np.ndarray, classes: Sequence[str], limits: np.ndarray
) -> np.ndarray:
    """The summed histogram of a chunk's maps: int64 [K + 1, K + 1, T + 1].

    table: uint8 [256] from the ids in mask files to ours; classes: the K names in mask order;
    limits: thresholds, float32 [T], ascending. `sweep.confusions` makes matrices of the sum.
    Raises UserError naming the file when shard and truth do not fit.
    """
    ids = {name: number for number, name in enumerate(classes, start=1)}
    total = np.zeros((len(classes) + 1, len(classes) + 1, len(limits) + 1), np.int64)
    for where, _, truth, maps, attributes in _measured(chunk, table):
        unknown = [name for name in attributes["classes"] if name not in ids]
        if unknown:
            raise UserError(f"{where}: unknown class '{unknown[0]}'; delete it and run again")
        if tuple(attributes["size"]) != truth.shape:
            raise UserError(
                f"{where}: maps of a {attributes['size']} image, but its mask is "
                f"{list(truth.shape)}; delete it and run again"
            )
        try:
            full = upsample(maps, truth.shape)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        present = [ids[name] for name in attributes["classes"]]
        total += score_histogram(full, present, truth, limits, len(classes))
    return total


@dataclass(frozen=True)
class LabelQuality:
    """What is counted in some masks; the sum of two is what is counted in both.

    matrix: int64 [K + 1, K + 2], as `confusion` gives it, of all images together.
    images: (image, mean iou of its own classes); those without a pixel to score are left out.
    """

    matrix: np.ndarray
    images: list[tuple[str, float]]

    def __add__(self, other: "LabelQuality") -> "LabelQuality":
        return LabelQuality(self.matrix + other.matrix, self.images + other.images)


def label_confusion(chunk: Chunk, table: np.ndarray, classes: Sequence[str]) -> LabelQuality:
    """Count the pixels of a chunk's masks.

    table, classes: as for `map_confusions`. Raises UserError as it does.
    """
    total = np.zeros((len(classes) + 1, len(classes) + 2), np.int64)
    images = []
    for where, image, truth, labels, _ in _measured(chunk, table):
        try:
            matrix = confusion(truth, labels, len(classes))
        except ValueError as error:
            raise UserError(f"{where}: {error}; delete it and run again") from None
        total += matrix
        iou = float(class_mean(scores(matrix)["iou"]))
        images += [] if np.isnan(iou) else [(image, iou)]
    return LabelQuality(total, images)


def _measured(
    chunk: Chunk, table: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, dict]]:
    """Of each image: where it is (for messages), its id, its truth, and what the shard holds."""
    with Shard(chunk.shard, chunk.artifact_id, chunk.images_sha) as shard:
        for image, mask, size in chunk.truths:
            where = f"{chunk.shard}: image '{image}'"
            yield where, image, read_mask(mask, table, size), *shard.read(image)


def label_rows(matrix: np.ndarray, classes: Sequence[str], split: str, images: int) -> pd.DataFrame:
    """Tidy rows (`COLUMNS`) of iou, precision, recall, f1 of each class and of their mean.

    matrix: [K + 1, K + 2] as `confusion` gives it; classes: K names; images: how many were
    measured. The metric `labelled` (class `mean`) is the share of pixels with a label. Classes
    without a score are left out. threshold is empty: none is chosen here.
    """
    rows = _rows(matrix, classes)
    rows.append(("labelled", "mean", labelled_share(matrix)))
    return _frame(rows, split, np.nan, False, images)


def sweep_rows(
    matrices: np.ndarray,
    limits: np.ndarray,
    background_score: float,
    classes: Sequence[str],
    split: str,
    images: int,
) -> pd.DataFrame:
    """The rows of `label_rows` twice: at the fixed background score, and at the best one.

    matrices: [T, K + 1, K + 1]; limits: float32 [T]. The best threshold is the (first) one of the
    highest mean iou; it is chosen with pixel masks, so its rows have tuned_on_masks set.
    Raises ValueError when the fixed score is not among the thresholds.
    """
    at_fixed = np.flatnonzero(limits == np.float32(background_score))
    if not len(at_fixed):
        raise ValueError(f"background score {background_score} is not among the thresholds")
    mean_iou = class_mean(scores(matrices)["iou"])
    at_best = 0 if np.isnan(mean_iou).all() else np.nanargmax(mean_iou)
    return pd.concat(
        [
            _frame(_rows(matrices[at], classes), split, _plain(limits[at]), tuned, images)
            for at, tuned in ((at_fixed[0], False), (at_best, True))
        ],
        ignore_index=True,
    )


def curve_rows(matrices: np.ndarray, limits: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Rows (`CURVE_COLUMNS`) of each class's iou, and their mean, at every threshold.

    matrices: [T, K + 1, K + 1]; limits: float32 [T]. Classes without a score are left out.
    """
    iou = scores(matrices)["iou"]
    table = np.column_stack([iou, class_mean(iou)])
    names = ["background", *classes, "mean"]
    return pd.DataFrame(
        [
            (_plain(limit), name, value)
            for limit, values in zip(limits, table, strict=True)
            for name, value in zip(names, values, strict=True)
            if not np.isnan(value)
        ],
        columns=list(CURVE_COLUMNS),
    )


def _rows(matrix: np.ndarray, classes: Sequence[str]) -> list[tuple[str, str, float]]:
    names = ["mean", "background", *classes]
    return [
        (metric, name, value)
        for metric, values in scores(matrix).items()
        for name, value in zip(names, [class_mean(values), *values], strict=True)
    ]


def _frame(rows: list, split: str, threshold: float, tuned: bool, images: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (split, metric, name, float(value), threshold, tuned, images)
            for metric, name, value in rows
            if not np.isnan(value)
        ],
        columns=list(COLUMNS),
    )


def _plain(limit: np.float32) -> float:
    """The threshold as people write it: 0.3, not the 0.30000001192… next to it."""
    return float(str(limit))
