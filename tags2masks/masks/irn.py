"""Masks by IRN: maps walk along affinities up to boundaries (Ahn, Cho & Kwak, CVPR 2019).

As in the public code the maps first lose what lies on a boundary, and scores are divided by the
image's highest. Instances: every cell follows the displacements to its centre; cells of one centre
are of one instance, and each class's map is walked for each instance alone.
"""

from collections.abc import Sequence

import numpy as np
import torch
from skimage.measure import label as connected
from torch import Tensor

from tags2masks.affinity.irn import EdgeDisplacement, affinity
from tags2masks.affinity.pairs import half_disc
from tags2masks.affinity.walk import transition, walk
from tags2masks.config.masks import Irn
from tags2masks.nets.resize import resized

FOLLOWED = 300
"""How many times a cell goes on to where it points."""

CENTRE = 2.5
"""A displacement shorter than this, in cells, lies at a centre."""


def relations(
    network: EdgeDisplacement, images: Tensor, flip: bool
) -> tuple[Tensor, Tensor | list[None]]:
    """Boundaries [B, h, w], 0..1, and displacements [B, 2, h, w] of images [B, 3, H, W].

    Of a network without displacements None for each image.
    """
    logits, displacements = network(images)
    if flip:
        # Logits are averaged, not probabilities: as in the public code.
        logits = (logits + network(images.flip(-1))[0].flip(-1)) / 2
    edges = logits.float().sigmoid().squeeze(1)
    return edges, [None] * len(images) if displacements is None else displacements.float()


def refine(
    network: EdgeDisplacement, images: Tensor, maps: Sequence[np.ndarray], spec: Irn
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each image the walked maps, float32 [K·I, h, w], and each one's row in `maps`.

    images: [B, 3, H, W] in 0 to 1; maps: float16 [K, ?, ?] of each, stretched to h = ceil(H / 4).
    I is 1 without instances; else the walked maps of class 0's instances come first.
    """
    walks = []
    for edges, displacements, own in zip(*relations(network, images, spec.flip), maps, strict=True):
        scores = stretched(own, edges)
        of_class = np.arange(len(scores))
        if spec.instances and len(scores):
            centres = instances(displacements.cpu().numpy())
            regions = torch.from_numpy(centres == np.unique(centres)[:, None, None])
            scores = (scores[:, None] * regions.to(scores.device)).flatten(0, 1)
            of_class = of_class.repeat(len(regions))
            some = scores.amax((1, 2)) > 0
            scores, of_class = scores[some], of_class[some.cpu().numpy()]
        walks.append((walked(scores, edges, spec).cpu().numpy(), of_class))
    return walks


def stretched(maps: np.ndarray, like: Tensor) -> Tensor:
    """Maps [K, ?, ?] as float32 [K, h, w] of the size and on the device of `like` [..., h, w]."""
    scores = torch.from_numpy(maps).to(like.device).float()
    if not len(scores):
        return scores.new_zeros(0, *like.shape[-2:])
    return resized(scores[None], like.shape[-2:])[0]


def walked(scores: Tensor, edges: Tensor, spec: Irn) -> Tensor:
    """Scores [K, h, w] after the walk, 0..1; edges: [h, w], 0..1."""
    if not len(scores):
        return scores
    offsets = half_disc(spec.radius)
    affinities = [affinity(edges, offset) for offset in offsets]
    matrix = transition(affinities, offsets, tuple(edges.shape), spec.beta)
    return walk(matrix, scores.pow(spec.map_power) * (1 - edges), spec.steps)


def instances(displacements: np.ndarray) -> np.ndarray:
    """The centre that each cell leads to, as a number: int [h, w], 0 for no centre.

    displacements: float [2, h, w], down and right, in cells.
    """
    height, width = displacements.shape[1:]
    limits = np.array([height - 1, width - 1], float)[:, None, None]
    places = np.mgrid[:height, :width].astype(float)
    for _ in range(FOLLOWED):
        moved = (places + _at(displacements, places)).clip(0, limits)
        if np.array_equal(moved, places):
            break
        places = moved
    centres = connected(np.hypot(*displacements) < CENTRE, connectivity=1)
    rows, columns = places.round().astype(int)
    return centres[rows, columns]


def _at(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """values [2, h, w] between cells, bilinear, at places [2, h, w]."""
    before = np.floor(places).astype(int)
    after = np.ceil(places).astype(int)
    y, x = places - before
    (top, left), (bottom, right) = before, after
    upper = values[:, top, left] * (1 - x) + values[:, top, right] * x
    lower = values[:, bottom, left] * (1 - x) + values[:, bottom, right] * x
    return upper * (1 - y) + lower * y
