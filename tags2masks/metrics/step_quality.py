"""The quality of the maps of every step, counted by chunks of images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tags2masks.data.truth import read_mask
from tags2masks.errors import UserError
from tags2masks.masks.seeds import upsample
from tags2masks.metrics.amplification import BINS, counts
from tags2masks.metrics.quality import Chunk
from tags2masks.metrics.steps import amplification, each_step, step_confusions, up_to_each_step
from tags2masks.store import Shard


@dataclass(frozen=True)
class StepQuality:
    """Counts at every step; `+` adds the counts of two sets of images.

    each: int64 [T, K + 1, K + 2], confusion of the step's maps; so_far: the same for the sum of
    maps up to the step. growth: float64 [2, T], CAM(x^t) / CAM(x^0) summed over the pixels of the
    discriminative and of the non-discriminative region; pixels: [2, T], their number; ratios: int64
    [2, T, BINS], their number by ratio (`metrics.amplification`).
    """

    each: np.ndarray
    so_far: np.ndarray
    growth: np.ndarray
    pixels: np.ndarray
    ratios: np.ndarray

    def __add__(self, other: "StepQuality") -> "StepQuality":
        return StepQuality(
            self.each + other.each,
            self.so_far + other.so_far,
            self.growth + other.growth,
            self.pixels + other.pixels,
            self.ratios + other.ratios,
        )

    def mean_growth(self) -> np.ndarray:
        """The amplification ratios: float64 [2, T], NaN where there are no pixels."""
        return np.where(self.pixels > 0, self.growth / np.maximum(self.pixels, 1), np.nan)


def step_quality(
    chunk: Chunk, table: np.ndarray, classes: Sequence[str], background_score: float
) -> StepQuality:
    """Count a chunk's images.

    table: uint8 [256] from the ids in mask files to ours; classes: the K names in mask order.
    Raises UserError naming the file where it holds no steps.
    """
    ids = {name: number for number, name in enumerate(classes, start=1)}
    total = None
    with Shard(chunk.shard, chunk.artifact_id, chunk.images_sha) as shard:
        for image, mask, size in chunk.truths:
            attributes = shard.read(image)[1]
            if tuple(attributes["size"]) != size:
                raise UserError(f"{chunk.shard}: image '{image}' had another size; run again")
            present = [ids[name] for name in attributes["classes"]]
            steps = shard.read_further("steps", image)
            truth = read_mask(mask, table, size)
            quality = _of_image(steps, present, truth, background_score, len(classes))
            total = quality if total is None else total + quality
    return total


def _of_image(
    steps: np.ndarray, present: list[int], truth: np.ndarray, background_score: float, classes: int
) -> StepQuality:
    matrices = [
        step_confusions(_full(maps, truth.shape), present, truth, background_score, classes)
        for maps in (each_step(steps), up_to_each_step(steps))
    ]
    growth, pixels = np.zeros((2, steps.shape[1])), np.zeros((2, steps.shape[1]), np.int64)
    by_ratio = np.zeros((2, steps.shape[1], BINS), np.int64)
    for class_steps in steps:
        for region, ratios in enumerate(amplification(class_steps)):
            growth[region] += np.nansum(ratios, axis=0)
            pixels[region] += np.isfinite(ratios).sum(axis=0)
            by_ratio[region] += counts(ratios)
    return StepQuality(*matrices, growth, pixels, by_ratio)


def _full(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[k, T, h, w] at the image's size; steps that were not made stay NaN."""
    out = np.full((*maps.shape[:2], *size), np.nan, np.float32)
    for number, step in enumerate(np.moveaxis(maps, 1, 0)):
        if not np.isnan(step).any():
            out[:, number] = upsample(step, size)
    return out
