"""The quality of maps and masks: measured a chunk of images at a time, told as tidy rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.data.truth import read_mask
from tags2masks.errors import UserError
from tags2masks.masks.seeds import upsample
from tags2masks.metrics.confusion import IGNORED, class_mean, confusion, labelled_share, scores
from tags2masks.metrics.regions import (
    MAP_THRESHOLD,
    discriminative,
    high_counts,
    own_scores,
    recall_rows,
    share_rows,
)
from tags2masks.metrics.sweep import confusions, region_histogram
from tags2masks.store import Shard

COLUMNS = ("split", "metric", "class", "value", "threshold", "tuned_on_masks", "images")
CURVE_COLUMNS = ("threshold", "class", "iou")


Scored = Callable[[str, np.ndarray, tuple[int, int]], np.ndarray]
"""From an image's path, its stored maps and its size (H, W) to scores float32 [K, H, W]."""


def map_scores(path: str, maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The maps at full size; the image is not looked at."""
    return upsample(maps, size)


class Chunk(NamedTuple):
    """Some images of one shard, as much as one worker measures at a time.

    truths: (image, mask file, (H, W)) of each. Give whole paths where workers run elsewhere.
    paths: each image's file, for those who look at it.
    cam: file and artifact id of the shard with the CAMs that tell the regions apart, if any.
    """

    shard: str
    artifact_id: str
    images_sha: str
    truths: Sequence[tuple[str, str, tuple[int, int]]]
    paths: Sequence[str] = ()
    cam: tuple[str, str] | None = None


class Measured(NamedTuple):
    """An image of a chunk.

    where: file and image, for messages; array, attributes: what the shard holds of it;
    regions: bool [H, W], True in the discriminative regions; None where no CAM is given.
    """

    where: str
    image: str
    path: str
    truth: np.ndarray
    array: np.ndarray
    attributes: dict
    regions: np.ndarray | None


@dataclass(frozen=True)
class MapQuality:
    """What is counted in some maps; the sum of two is what is counted in both.

    histogram: int64 [R, K + 1, K + 1, T + 1], as `sweep.region_histogram` gives it, of two regions
    (outside DR, in DR) or of one (everything).
    high: int64 [2, 2, K + 1], as `regions.high_counts` gives it; zeros without regions.
    """

    histogram: np.ndarray
    high: np.ndarray

    def __add__(self, other: "MapQuality") -> "MapQuality":
        return MapQuality(self.histogram + other.histogram, self.high + other.high)


def map_confusions(
    chunk: Chunk,
    table: np.ndarray,
    classes: Sequence[str],
    limits: np.ndarray,
    scored: Scored = map_scores,
) -> MapQuality:
    """The summed histograms of a chunk's maps.

    table: uint8 [256] from the ids in mask files to ours; classes: the K names in mask order;
    limits: thresholds, float32 [T], ascending. `sweep.confusions` makes matrices of the sum.
    scored: what to sweep; a mask method's own `scores` in place of the maps at full size.
    Raises UserError naming the file when shard and truth do not fit.
    """
    ids = _numbered(classes)
    count = 2 if chunk.cam else 1
    sides = len(classes) + 1, len(classes) + 1, len(limits) + 1
    total, high = np.zeros((count, *sides), np.int64), np.zeros((2, 2, sides[0]), np.int64)
    for one in _measured(chunk, table, classes):
        present = _present(one.where, one.attributes, one.truth, ids)
        full = _scores(one.where, scored, one.path, one.array, one.truth)
        regions = np.intp(0) if one.regions is None else one.regions
        total += region_histogram(full, present, one.truth, limits, len(classes), regions, count)
        if one.regions is not None:
            own = own_scores(full, present, one.truth)
            high += high_counts(own, one.regions, one.truth, len(classes))
    return MapQuality(total, high)


def _numbered(classes: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(classes, start=1)}


def _present(where: str, attributes: dict, truth: np.ndarray, ids: Mapping[str, int]) -> list[int]:
    """The ids of the classes that an image's maps are of."""
    unknown = [name for name in attributes["classes"] if name not in ids]
    if unknown:
        raise UserError(f"{where}: unknown class '{unknown[0]}'; delete it and run again")
    if tuple(attributes["size"]) != truth.shape:
        raise UserError(
            f"{where}: maps of a {attributes['size']} image, but its mask is "
            f"{list(truth.shape)}; delete it and run again"
        )
    return [ids[name] for name in attributes["classes"]]


def _scores(
    where: str, scored: Scored, path: str, maps: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    try:
        return scored(path, maps, truth.shape)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


@dataclass(frozen=True)
class LabelQuality:
    """What is counted in some masks; the sum of two is what is counted in both.

    matrix: int64 [K + 1, K + 2], as `confusion` gives it, of all images together.
    regions: [2, K + 1, K + 2], the same outside DR and in DR; None where no CAM is given.
    images: (image, mean iou of its own classes); those without a pixel to score are left out.
    """

    matrix: np.ndarray
    images: list[tuple[str, float]]
    regions: np.ndarray | None = None

    def __add__(self, other: "LabelQuality") -> "LabelQuality":
        regions = None if self.regions is None else self.regions + other.regions
        return LabelQuality(self.matrix + other.matrix, self.images + other.images, regions)


def label_confusion(chunk: Chunk, table: np.ndarray, classes: Sequence[str]) -> LabelQuality:
    """Count the pixels of a chunk's masks.

    table, classes: as for `map_confusions`. Raises UserError as it does.
    """
    total = np.zeros((len(classes) + 1, len(classes) + 2), np.int64)
    inside = np.zeros_like(total)
    images = []
    for one in _measured(chunk, table, classes):
        try:
            matrix = confusion(one.truth, one.array, len(classes))
        except ValueError as error:
            raise UserError(f"{one.where}: {error}; delete it and run again") from None
        total += matrix
        if one.regions is not None:
            there = np.where(one.regions, one.truth, IGNORED).astype(np.uint8)
            inside += confusion(there, one.array, len(classes))
        iou = float(class_mean(scores(matrix)["iou"]))
        images += [] if np.isnan(iou) else [(one.image, iou)]
    return LabelQuality(total, images, np.stack([total - inside, inside]) if chunk.cam else None)


def _measured(chunk: Chunk, table: np.ndarray, classes: Sequence[str]) -> Iterator[Measured]:
    ids = _numbered(classes)
    with ExitStack() as stack:
        shard = stack.enter_context(Shard(chunk.shard, chunk.artifact_id, chunk.images_sha))
        cams = stack.enter_context(Shard(*chunk.cam, chunk.images_sha)) if chunk.cam else None
        paths = chunk.paths or [""] * len(chunk.truths)
        for (image, mask, size), path in zip(chunk.truths, paths, strict=True):
            truth, regions = read_mask(mask, table, size), None
            if cams is not None:
                where = f"{chunk.cam[0]}: image '{image}'"
                maps, attributes = cams.read(image)
                present = _present(where, attributes, truth, ids)
                regions = discriminative(
                    _scores(where, map_scores, path, maps, truth), present, truth
                )
            where = f"{chunk.shard}: image '{image}'"
            yield Measured(where, image, path, truth, *shard.read(image), regions)


def label_rows(
    matrix: np.ndarray,
    classes: Sequence[str],
    split: str,
    images: int,
    regions: np.ndarray | None = None,
    threshold: float = np.nan,
) -> pd.DataFrame:
    """Tidy rows (`COLUMNS`) of iou, precision, recall, f1 of each class and of their mean.

    matrix: [K + 1, K + 2] as `confusion` gives it; classes: K names; images: how many were
    measured; regions: the same outside DR and in DR, [2, K + 1, K + 2], for the rows of
    `regions.recall_rows`; threshold: the background score that the masks were made at, where one
    could be swept. `fg_precision` (class `mean`) is the mean precision of the foreground classes,
    `labelled` the share of pixels with a label. Classes without a score are left out.
    """
    rows = _rows(matrix, classes, regions)
    rows.append(("labelled", "mean", labelled_share(matrix)))
    return _frame(rows, split, threshold, False, images)


def sweep_rows(
    matrices: np.ndarray,
    limits: np.ndarray,
    background_score: float,
    classes: Sequence[str],
    split: str,
    images: int,
    regions: np.ndarray | None = None,
) -> pd.DataFrame:
    """The rows of `label_rows` twice: at the fixed background score, and at the best one.

    matrices: [T, K + 1, K + 1]; limits: float32 [T]; regions: [2, T, K + 1, K + 1], the same
    outside DR and in DR. The best threshold is the (first) one of the highest mean iou; it is
    chosen with pixel masks, so its rows have tuned_on_masks set.
    Raises ValueError when the fixed score is not among the thresholds.
    """
    at_fixed = np.flatnonzero(limits == np.float32(background_score))
    if not len(at_fixed):
        raise ValueError(f"background score {background_score} is not among the thresholds")
    mean_iou = class_mean(scores(matrices)["iou"])
    at_best = 0 if np.isnan(mean_iou).all() else np.nanargmax(mean_iou)
    parts = []
    for at, tuned in ((at_fixed[0], False), (at_best, True)):
        rows = _rows(matrices[at], classes, None if regions is None else regions[:, at])
        parts.append(_frame(rows, split, _plain(limits[at]), tuned, images))
    return pd.concat(parts, ignore_index=True)


def map_rows(
    quality: MapQuality,
    limits: np.ndarray,
    background_score: float,
    classes: Sequence[str],
    split: str,
    images: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All rows of swept maps: those of `sweep_rows` and of `regions.share_rows`; and the curve.

    threshold of the shares is the score from which a pixel counts as high.
    """
    parts = np.stack([confusions(histogram) for histogram in quality.histogram])
    matrices = parts.sum(axis=0)
    regions = parts if len(parts) > 1 else None
    rows = sweep_rows(matrices, limits, background_score, classes, split, images, regions)
    if regions is not None:
        shares = share_rows(quality.high, classes)
        frame = _frame(shares, split, _plain(MAP_THRESHOLD), False, images)
        rows = pd.concat([rows, frame], ignore_index=True)
    return rows, curve_rows(matrices, limits, classes)


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


def _rows(
    matrix: np.ndarray, classes: Sequence[str], regions: np.ndarray | None
) -> list[tuple[str, str, float]]:
    names, found = ["mean", "background", *classes], scores(matrix)
    rows = [
        (metric, name, value)
        for metric, values in found.items()
        for name, value in zip(names, [class_mean(values), *values], strict=True)
    ]
    rows.append(("fg_precision", "mean", class_mean(found["precision"][1:])))
    return rows if regions is None else rows + recall_rows(regions, classes)


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
