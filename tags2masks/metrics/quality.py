"""Counts for the quality of maps and masks, by chunks of images; for `metrics.rows`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tags2masks.data.images import ImageFile
from tags2masks.data.truth import read_mask
from tags2masks.errors import UserError
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.seeds import seed, upsample
from tags2masks.metrics.confusion import class_mean, confusion, scores
from tags2masks.metrics.contour import contour_counts
from tags2masks.metrics.curve import region_histogram
from tags2masks.metrics.levels import level_sums
from tags2masks.metrics.regions import discriminative, high_counts, own_scores
from tags2masks.store import Shard

Scored = Callable[[ImageFile | None, np.ndarray, tuple[int, int]], np.ndarray]
"""From an image's file, its stored maps and its size (H, W) to scores float32 [K, H, W]."""


def map_scores(file: ImageFile | None, maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The maps at full size; the image is not used."""
    return upsample(maps, size)


class Chunk(NamedTuple):
    """Some images of one shard, measured together by one worker.

    truths: (image, mask file, (H, W)) of each, with absolute paths if workers are on other
    machines.
    files: the files of the images, for scores that need them.
    cam: file and artifact id of the shard with the CAMs that define the regions, if any.
    """

    shard: str
    artifact_id: str
    images_sha: str
    truths: Sequence[tuple[str, str, tuple[int, int]]]
    files: Sequence[ImageFile] = ()
    cam: tuple[str, str] | None = None


class Measured(NamedTuple):
    """An image of a chunk.

    where: file and image, for messages; array, attributes: from the shard;
    regions: bool [H, W], True in the discriminative regions; None without a CAM.
    """

    where: str
    image: str
    file: ImageFile | None
    truth: np.ndarray
    array: np.ndarray
    attributes: dict
    regions: np.ndarray | None


@dataclass(frozen=True)
class MapQuality:
    """Counts over some maps; `+` adds the counts of two sets of maps.

    histogram: int64 [R, K + 1, K + 1, T + 1], as `curve.region_histogram` gives it, of two regions
    (outside DR, in DR) or of one (everything).
    high: int64 [2, 2, K + 1], as `regions.high_counts` gives it; zeros without regions.
    contours: int64 [4, K], as `contour_counts` gives it, of the seeds at one background score;
    zeros where none is asked for.
    levels: int64 [2, 2, K], as `levels.level_sums` gives it.
    """

    histogram: np.ndarray
    high: np.ndarray
    contours: np.ndarray
    levels: np.ndarray

    def __add__(self, other: "MapQuality") -> "MapQuality":
        return MapQuality(
            self.histogram + other.histogram,
            self.high + other.high,
            self.contours + other.contours,
            self.levels + other.levels,
        )


def map_confusions(
    chunk: Chunk,
    table: np.ndarray,
    classes: Sequence[str],
    limits: np.ndarray,
    scored: Scored = map_scores,
    contours_at: float | None = None,
) -> MapQuality:
    """The summed histograms of a chunk's maps.

    table: uint8 [256] from the ids in mask files to ours; classes: the K names in mask order;
    limits: thresholds, float32 [T], ascending. `curve.confusions` makes matrices of the sum.
    scored: the scores to threshold; a mask method's own `scores` in place of the maps at full size.
    contours_at: background score of the seeds whose contours are judged; None: none are. A contour
    is no sum over pixels, so one pass cannot give it at every score.
    Raises UserError naming the file when shard and truth do not fit.
    """
    ids = _numbered(classes)
    count = 2 if chunk.cam else 1
    sides = len(classes) + 1, len(classes) + 1, len(limits) + 1
    total, high = np.zeros((count, *sides), np.int64), np.zeros((2, 2, sides[0]), np.int64)
    contours = np.zeros((4, len(classes)), np.int64)
    levels = np.zeros((2, 2, len(classes)), np.int64)
    for measured in measured_images(chunk, table, classes):
        present = _present(measured.where, measured.attributes, measured.truth, ids)
        full = _scores(measured.where, scored, measured.file, measured.array, measured.truth)
        regions = np.intp(0) if measured.regions is None else measured.regions
        total += region_histogram(
            full, present, measured.truth, limits, len(classes), regions, count
        )
        levels += level_sums(full, present, measured.truth, len(classes))
        if measured.regions is not None:
            own = own_scores(full, present, measured.truth)
            high += high_counts(own, measured.regions, measured.truth, len(classes))
        if contours_at is not None:
            labels = seed(full, present, contours_at)
            contours += contour_counts(measured.truth, labels, len(classes))
    return MapQuality(total, high, contours, levels)


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
    where: str, scored: Scored, file: ImageFile | None, maps: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    try:
        return scored(file, maps, truth.shape)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


@dataclass(frozen=True)
class LabelQuality:
    """Counts over some masks; `+` adds the counts of two sets of masks.

    matrix: int64 [K + 1, K + 2], as `confusion` gives it, of all images together.
    images: (image, mean iou of its own classes); those without a pixel to score are left out.
    contours: int64 [4, K], as `contour_counts` gives it.
    regions: [2, K + 1, K + 2], `matrix` outside DR and in DR; None where no CAM is given.
    """

    matrix: np.ndarray
    images: list[tuple[str, float]]
    contours: np.ndarray
    regions: np.ndarray | None = None

    def __add__(self, other: "LabelQuality") -> "LabelQuality":
        regions = None if self.regions is None else self.regions + other.regions
        return LabelQuality(
            self.matrix + other.matrix,
            self.images + other.images,
            self.contours + other.contours,
            regions,
        )


def label_confusion(chunk: Chunk, table: np.ndarray, classes: Sequence[str]) -> LabelQuality:
    """Count the pixels of a chunk's masks.

    table, classes: as for `map_confusions`. Raises UserError as it does.
    """
    total = np.zeros((len(classes) + 1, len(classes) + 2), np.int64)
    inside = np.zeros_like(total)
    contours = np.zeros((4, len(classes)), np.int64)
    images = []
    for measured in measured_images(chunk, table, classes):
        try:
            matrix = confusion(measured.truth, measured.array, len(classes))
        except ValueError as error:
            raise UserError(f"{measured.where}: {error}; delete it and run again") from None
        total += matrix
        contours += contour_counts(measured.truth, measured.array, len(classes))
        if measured.regions is not None:
            there = np.where(measured.regions, measured.truth, IGNORED).astype(np.uint8)
            inside += confusion(there, measured.array, len(classes))
        iou = float(class_mean(scores(matrix)["iou"]))
        images += [] if np.isnan(iou) else [(measured.image, iou)]
    regions = np.stack([total - inside, inside]) if chunk.cam else None
    return LabelQuality(total, images, contours, regions)


def measured_images(chunk: Chunk, table: np.ndarray, classes: Sequence[str]) -> Iterator[Measured]:
    """The images of a chunk, with their true masks and what the shard has of them."""
    ids = _numbered(classes)
    with ExitStack() as stack:
        shard = stack.enter_context(Shard(chunk.shard, chunk.artifact_id, chunk.images_sha))
        cams = stack.enter_context(Shard(*chunk.cam, chunk.images_sha)) if chunk.cam else None
        files = chunk.files or [None] * len(chunk.truths)
        for (image, mask, size), file in zip(chunk.truths, files, strict=True):
            truth, regions = read_mask(mask, table, size), None
            if cams is not None:
                where = f"{chunk.cam[0]}: image '{image}'"
                maps, attributes = cams.read(image)
                present = _present(where, attributes, truth, ids)
                regions = discriminative(
                    _scores(where, map_scores, file, maps, truth), present, truth
                )
            where = f"{chunk.shard}: image '{image}'"
            yield Measured(where, image, file, truth, *shard.read(image), regions)
