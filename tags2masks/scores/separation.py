"""The background score that separates foreground and background best, in colour and in features.

For an image i and a score τ, F are the pixels whose highest class score is above τ, B the others,
and w the share of F. Two criteria are summed over the images:

    A(τ) = Σ_i w(1 − w) · (x̄_F − x̄_B)ᵀ (Σ_i + I)⁻¹ (x̄_F − x̄_B)
    B(τ) = Σ_i w(1 − w) · |f̄_F − f̄_B|² / tr Σ_i

x is the CIELAB colour of a pixel, f the vector of the classifier's features in a cell. Σ_i is the
covariance of x (or f) within the image. Each channel of f is divided by its standard deviation
over all cells of all images. A term is 0 where F or B is empty. The chosen score is the larger of
the two scores at which A and B are highest. A guess at why the larger is better: a criterion that
does not see the objects prefers to divide images into halves.

This rule is from no paper, and reads no mask. A and B depend only on the order of an image's
scores, except that τ is one of GRID.

Each image is read once. For each of the 20 intervals between the scores of GRID the number of
places and the sum of their vectors are kept; the means of every F and B follow from these.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from skimage.color import rgb2lab
from torch import Tensor, nn

from tags2masks.data.warnings import Warned
from tags2masks.masks.seeds import upsample

GRID = np.arange(1, 20, dtype=np.float32) * np.float32(0.05)
"""The scores to choose from: 0.05, 0.1, …, 0.95."""

SMALLEST = 128
"""Side of small images, in pixels: their colours are taken at full size, and they are enlarged for
the features, to have enough cells."""

APART = 0.2
"""Scores by colour and by features that lie further apart are doubtful: of six such choices five
lost 2.3 to 3.5 points of mean IoU to the best score, closer ones at most 1.3 but for one that
ALIKE finds (docs/results.md)."""
ALIKE = 0.075
"""Below this share of the variance of colour, foreground hardly differs from background: it was
0.04 of the maps whose choice lost 6.7 points, just above 0.075 of one, 0.14 or more of all others
(docs/results.md)."""


class Sums(NamedTuple):
    """Sums over the places (pixels or cells) of an image, by the interval of GRID of their score.

    counts: number of places, float64 [20]; sums: of their vectors, float64 [20, C]; outer: over all
    places, of the products of their vectors [C, C], or only of the squares [C].
    """

    counts: np.ndarray
    sums: np.ndarray
    outer: np.ndarray


def sums_of(scores: np.ndarray, vectors: np.ndarray, products: bool) -> Sums:
    """Return the sums of places with these scores, [n], and vectors, [n, C].

    products: whether `outer` is of products, not only of squares.
    """
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
    """Images [B, 3, H, W], enlarged so that the longer side is at least SMALLEST."""
    factor = SMALLEST / max(images.shape[-2:])
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


def measure(
    network: nn.Module, images: Tensor, maps: Sequence[np.ndarray]
) -> list[tuple[Sums, Sums]]:
    """`colour_sums` and `feature_sums` of each image of a batch.

    network: a classifier; images: uint8 [B, 3, H, W] on the CPU; maps: of each image, [K, h, w].
    """
    device = next(network.parameters()).device
    features = network.features(enlarged(images.to(device).float() / 255))
    return [
        (colour_sums(image.permute(1, 2, 0).numpy(), shown), feature_sums(local, shown))
        for image, local, shown in zip(images, features, maps, strict=True)
    ]


def choose(measured: Sequence[tuple[Sums, Sums]]) -> dict:
    """The chosen score as `background_score`, and how it was chosen, as plain JSON values.

    measured: `measure` of all images. `by_colour`, `by_features`: the scores at which A and B are
    highest; `curves`: A and B at each score of GRID; `areas`: the share of pixels above scores.
    """
    curves = {
        "score": GRID,
        "colour": colour_criterion(colours for colours, _ in measured),
        "features": feature_criterion([features for _, features in measured]),
    }
    by_colour, by_features = (
        round(float(GRID[curves[name].argmax()]), 2) for name in ("colour", "features")
    )
    counts = sum(colours.counts for colours, _ in measured)
    above = counts[::-1].cumsum()[::-1] / counts.sum()
    return {
        "background_score": max(by_colour, by_features),
        "by_colour": by_colour,
        "by_features": by_features,
        "curves": {n: [float(f"{x:.6g}") for x in values] for n, values in curves.items()},
        "areas": {
            "score": [0, *(round(float(score), 2) for score in GRID), 1],
            "share": [*(float(f"{share:.6g}") for share in above), 0],
        },
    }


def doubts_of_choice(chosen: dict, images: int) -> list[Warned]:
    """Warnings on how a score was chosen.

    chosen: what `choose` returns; images: their number. A of an image is the share of
    the variance of its colours that lies between foreground and background, along the direction
    that tells them apart best.
    """
    texts = []
    uncertain = f"the background score {chosen['background_score']:g} is uncertain:"
    by_colour, by_features = chosen["by_colour"], chosen["by_features"]
    if abs(by_colour - by_features) > APART + 1e-9:
        texts.append(
            (
                "colour and features disagree on the background score",
                f"{uncertain} by colour it is {by_colour:g}, by features {by_features:g}; look at "
                "some masks, and try the other",
            )
        )
    share = max(chosen["curves"]["colour"]) / images
    if share < ALIKE:
        texts.append(
            (
                "foreground and background hardly differ in colour",
                f"{uncertain} foreground and background differ in {share:.1%} of the images' "
                "variance of colour, at most; look at some masks, and try a lower score",
            )
        )
    return [Warned(*text) for text in texts]
