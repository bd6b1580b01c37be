"""The background score that separates foreground and background best, in colour and in features.

For an image i and a score τ, F are the pixels whose highest class score is above τ, B the others,
and w the share of F. Two criteria are summed over the images:

    A(τ) = Σ_i w(1 − w) · (x̄_F − x̄_B)ᵀ (Σ_i + I)⁻¹ (x̄_F − x̄_B)
    B(τ) = Σ_i w(1 − w) · |f̄_F − f̄_B|² / tr Σ_i

x is the CIELAB colour of a pixel, f the vector of the classifier's features in a cell.

Σ_i is the covariance of x (or f) within the image. Each channel of f is divided by its deviation
over all cells of the images. A term is 0 where F or B is empty. The score is the larger of the two
arguments of the maximum: a criterion that does not see the objects tends to halve the images, which
is too low a score for objects of ordinary size.

No paper has this rule; no mask is read. Both criteria depend on the ranks of the scores alone, but
for the grid of τ.

An image is read once: its sums over the pixels between two scores of the grid are kept, from which
the means of every F and B follow. That is (C + 2) numbers for each of the 20 intervals, 200 kB an
image with 1,280 channels.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from skimage.color import rgb2lab
from torch import Tensor

from tags2masks.masks.seeds import upsample

GRID = np.arange(1, 20, dtype=np.float32) * np.float32(0.05)
"""The scores to choose from: 0.05, 0.1, …, 0.95."""

SMALLEST = 128
"""Pixels of a side below which images are enlarged for the features, or cells would be too few."""


class Sums(NamedTuple):
    """Of the places of an image by the interval of the grid that their score is in.

    counts: float64 [20]; sums: float64 [20, C], of vectors; outer: of their products, [C, C] or,
    where only variances are needed, of their squares, [C].
    """

    counts: np.ndarray
    sums: np.ndarray
    outer: np.ndarray


class Chosen(NamedTuple):
    """The score, both criteria at each score of GRID, and the score that each would choose."""

    score: float
    colour: np.ndarray
    features: np.ndarray
    by_colour: float
    by_features: float


def sums_of(scores: np.ndarray, vectors: np.ndarray, products: bool) -> Sums:
    """scores: [n]; vectors: [n, C]; products: whether `outer` is of products, not of squares."""
    intervals = np.searchsorted(GRID, scores.astype(np.float32), side="left")
    vectors = vectors.astype(np.float64)
    order = np.argsort(intervals, kind="stable")
    counts = np.bincount(intervals, minlength=len(GRID) + 1)
    ends = np.concatenate([[0], counts.cumsum()])
    before = np.concatenate([np.zeros((1, vectors.shape[1])), vectors[order].cumsum(axis=0)])
    sums = before[ends[1:]] - before[ends[:-1]]
    outer = vectors.T @ vectors if products else (vectors**2).sum(axis=0)
    return Sums(counts.astype(np.float64), sums, outer)


def colour_sums(image: np.ndarray, maps: np.ndarray) -> Sums:
    """Of an image's CIELAB colours at half its size; images of less than 128 pixels at their own.

    image: uint8 [H, W, 3]; maps: float [K, h, w], 0 to 1, of the classes that it is tagged with.
    """
    step = 2 if min(image.shape[:2]) >= SMALLEST else 1
    size = (image.shape[0] // step, image.shape[1] // step)
    cut = image[: size[0] * step, : size[1] * step].astype(np.float32) / 255
    small = cut.reshape(size[0], step, size[1], step, 3).mean(axis=(1, 3))
    best = upsample(maps, size).max(axis=0)
    return sums_of(best.ravel(), rgb2lab(small).reshape(-1, 3), products=True)


def feature_sums(features: Tensor, maps: np.ndarray) -> Sums:
    """Of an image's features, [C, h, w]; maps: as above, averaged onto the cells."""
    best = upsample(maps, tuple(4 * side for side in features.shape[-2:])).max(axis=0)
    cells = best.reshape(features.shape[-2], 4, features.shape[-1], 4).mean(axis=(1, 3))
    vectors = features.flatten(1).T.float().cpu().numpy()
    return sums_of(cells.ravel(), vectors, products=False)


def enlarged(images: Tensor) -> Tensor:
    """Images [B, 3, H, W], small ones as large as the features need them."""
    factor = SMALLEST / min(images.shape[-2:])
    if factor <= 1:
        return images
    return F.interpolate(images, scale_factor=factor, mode="bilinear", align_corners=False)


def colour_criterion(images: Iterable[Sums]) -> np.ndarray:
    """A at each score of GRID, [19]."""
    total = np.zeros(len(GRID))
    for image in images:
        weights, differences = _separations(image)
        n, mean = image.counts.sum(), image.sums.sum(axis=0) / image.counts.sum()
        covariance = image.outer / n - np.outer(mean, mean)
        inverse = np.linalg.inv(covariance + np.eye(len(mean)))
        total += weights * np.einsum("tc,cd,td->t", differences, inverse, differences)
    return total


def feature_criterion(images: list[Sums]) -> np.ndarray:
    """B at each score of GRID, [19]."""
    if not images:
        return np.zeros(len(GRID))
    n = sum(image.counts.sum() for image in images)
    mean = sum(image.sums.sum(axis=0) for image in images) / n
    variance = sum(image.outer for image in images) / n - mean**2
    scale = np.where(variance > 1e-12, 1 / np.maximum(variance, 1e-12), 0)  # of dead channels: none
    total = np.zeros(len(GRID))
    for image in images:
        weights, differences = _separations(image)
        own = image.sums.sum(axis=0) / image.counts.sum()
        spread = ((image.outer / image.counts.sum() - own**2) * scale).sum()
        if spread > 0:
            total += weights * (differences**2 @ scale) / spread
    return total


def _separations(image: Sums) -> tuple[np.ndarray, np.ndarray]:
    """At each score of GRID: w(1 − w), 0 where F or B is empty, [19], and x̄_F − x̄_B, [19, C]."""
    above = image.counts[::-1].cumsum()[::-1][1:]
    sums_above = image.sums[::-1].cumsum(axis=0)[::-1][1:]
    n, whole = image.counts.sum(), image.sums.sum(axis=0)
    below = n - above
    weights = above * below / n**2
    foreground = sums_above / np.maximum(above, 1)[:, None]
    background = (whole - sums_above) / np.maximum(below, 1)[:, None]
    return weights, foreground - background


def measure(image: np.ndarray, features: Tensor, maps: np.ndarray) -> tuple[Sums, Sums]:
    """`colour_sums` and `feature_sums` of an image."""
    return colour_sums(image, maps), feature_sums(features, maps)


def choose(measured: list[tuple[Sums, Sums]]) -> Chosen:
    """The score; measured: `measure` of the sample's images."""
    a = colour_criterion(colours for colours, _ in measured)
    b = feature_criterion([features for _, features in measured])
    by_colour, by_features = (round(float(GRID[values.argmax()]), 2) for values in (a, b))
    return Chosen(max(by_colour, by_features), a, b, by_colour, by_features)
