"""IRN: a random walk of maps up to class boundaries (Ahn, Cho & Kwak, CVPR 2019).

As in the public code, maps are first multiplied by 1 − boundary.

Instances: every cell follows the displacements to a centre; cells of the same centre are one
instance, and the walk is done for each class and instance separately.
"""

from collections.abc import Sequence

import numpy as np
import torch
from skimage.measure import label as connected
from torch import Tensor

from tags2masks.affinity.irn import EdgeDisplacement, affinity
from tags2masks.affinity.pairs import half_disc
from tags2masks.affinity.walk import transition, walk
from tags2masks.config.walks import IrnWalk
from tags2masks.nets.resize import resized

FOLLOWED = 300
"""Number of times that a cell follows its displacement."""

CENTRE = 2.5
"""A cell whose displacement is shorter than this, in cells, is part of a centre."""


def relations(
    network: EdgeDisplacement, images: Tensor, flip: bool
) -> tuple[Tensor, Tensor | list[None]]:
    """Boundaries [B, h, w], 0..1, and displacements [B, 2, h, w] of images [B, 3, H, W].

    For a network without displacements a list of None.
    """
    logits, displacements = network(images)
    if flip:
        # The average is over logits, as in the public code.
        logits = (logits + network(images.flip(-1))[0].flip(-1)) / 2
    edges = logits.float().sigmoid().squeeze(1)
    return edges, [None] * len(images) if displacements is None else displacements.float()


def refine(
    network: EdgeDisplacement, images: Tensor, maps: Sequence[np.ndarray], spec: IrnWalk
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each image the maps after the walk, float32 [K·I, h, w], and the row in `maps` of each.

    images: [B, 3, H, W] in 0 to 1; maps: float16 [K, ?, ?] of each image, resized to h = ceil(H /
    4). I is 1 without instances; otherwise the instances of each class follow each other.
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
    """Resize maps [K, ?, ?] to the size and device of `like` [..., h, w]: float32 [K, h, w]."""
    scores = torch.from_numpy(maps).to(like.device).float()
    if not len(scores):
        return scores.new_zeros(0, *like.shape[-2:])
    return resized(scores[None], like.shape[-2:])[0]


def walked(scores: Tensor, edges: Tensor, spec: IrnWalk) -> Tensor:
    """Scores [K, h, w] after the walk, 0..1; edges: [h, w], 0..1."""
    if not len(scores):
        return scores
    offsets = half_disc(spec.radius)
    affinities = [affinity(edges, offset) for offset in offsets]
    matrix = transition(affinities, offsets, tuple(edges.shape), spec.beta)
    return walk(matrix, scores.pow(spec.map_power) * (1 - edges), spec.steps)


def instances(displacements: np.ndarray) -> np.ndarray:
    """The number of the centre that each cell leads to: int [h, w], 0 for no centre.

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
    """Sample values [2, h, w] at places [2, h, w], bilinearly."""
    before = np.floor(places).astype(int)
    after = np.ceil(places).astype(int)
    y, x = places - before
    (top, left), (bottom, right) = before, after
    upper = values[:, top, left] * (1 - x) + values[:, top, right] * x
    lower = values[:, bottom, left] * (1 - x) + values[:, bottom, right] * x
    return upper * (1 - y) + lower * y
