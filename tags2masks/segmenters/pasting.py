"""Instances from what a network says of the cells of boxes, and the semantic masks of instances.

Does not import torch: worker processes import this module.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tags2masks.config.inference import NetworkCrf
from tags2masks.config.maskrcnn import InstanceInference
from tags2masks.instance_store import Corners, Instance, instance
from tags2masks.masks.dense_crf import on_probabilities

MARGIN = 0.5
"""How much of a box's surroundings a CRF sees, on each side, as a share of the box's side."""


class Found(NamedTuple):
    """What a network found in an image.

    boxes: float [n, 4], x1, y1, x2, y2, in pixels of the image, behind the last pixel; classes: int
    [n], from 1; scores: float [n]; masks: float [n, m, m], probabilities on the cells of each box;
    image: uint8 [H, W, 3], of which without a CRF the size alone counts.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    masks: np.ndarray
    image: np.ndarray


def instances_of(found: Found, inference: InstanceInference) -> list[Instance]:
    """The instances, the highest score first; those without a pixel are left out."""
    size, instances = found.image.shape[:2], []
    for at in np.argsort(-found.scores, kind="stable"):
        box = corners(found.boxes[at], size)
        shares, window = pasted(found.masks[at], found.boxes[at], size)
        if inference.crf is not None:
            shares, window = _refined(found.image, shares, window, inference.crf)
        mask = np.zeros(size, bool)
        mask[window] = shares > inference.mask_score
        if mask.any():
            instances.append(instance(found.classes[at], mask, found.scores[at], box))
    return instances


def corners(box: Sequence[float], size: tuple[int, int]) -> Corners:
    """The pixels whose centres are in a box: x1, y1, x2, y2, inclusive; at least one of the image.

    box: x1, y1, x2, y2, from the image's corner, of an image of size (H, W).
    """
    x1, y1, x2, y2 = (int(np.ceil(side - 0.5)) for side in map(float, box))
    left, top = min(max(0, x1), size[1] - 1), min(max(0, y1), size[0] - 1)
    return left, top, max(left, min(size[1], x2) - 1), max(top, min(size[0], y2) - 1)


def pasted(
    shares: np.ndarray, box: Sequence[float], size: tuple[int, int]
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Probabilities on the pixels of a box (`corners`), float32 [h, w], and where these are.

    shares: float [m, m], on the cells of the box, x1, y1, x2, y2. Bilinear between the centres of
    cells; beyond the outermost centres as there.
    """
    x1, y1, x2, y2 = corners(box, size)
    cells = len(shares)
    down, across = (
        np.clip(
            (np.arange(first, last + 1) + 0.5 - start) * cells / max(end - start, 1e-6) - 0.5,
            0,
            cells - 1,
        )
        for first, last, start, end in (
            (y1, y2, float(box[1]), float(box[3])),
            (x1, x2, float(box[0]), float(box[2])),
        )
    )
    rows = _between(shares.astype(np.float64), down)
    return (
        _between(rows.T, across).T.astype(np.float32),
        (slice(y1, y2 + 1), slice(x1, x2 + 1)),
    )


def _between(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values [m, k] at places [n] between the rows, linearly: [n, k]."""
    before = np.floor(places).astype(int)
    after = np.minimum(before + 1, len(values) - 1)
    share = (places - before)[:, None]
    return values[before] * (1 - share) + values[after] * share


def _refined(
    image: np.ndarray, shares: np.ndarray, window: tuple[slice, slice], crf: NetworkCrf
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Probabilities after a CRF on the window and `MARGIN` around it, where they are 0 before."""
    wider = []
    for part, side in zip(window, image.shape[:2], strict=True):
        more = max(1, round(MARGIN * (part.stop - part.start)))
        wider.append(slice(max(0, part.start - more), min(side, part.stop + more)))
    seen = image[tuple(wider)]
    before = np.zeros(seen.shape[:2], np.float32)
    inner = tuple(
        slice(part.start - around.start, part.stop - around.start)
        for part, around in zip(window, wider, strict=True)
    )
    before[inner] = shares
    return on_probabilities(seen, np.stack([1 - before, before]), crf)[1], tuple(wider)


def semantic(size: tuple[int, int], instances: Sequence[Instance], above: float) -> np.ndarray:
    """The class of the instance with the highest score at each pixel: uint8 [H, W], 0 for none.

    instances: the highest score first; those with a score below `above` are left out.
    """
    mask = np.zeros(size, np.uint8)
    for each in reversed(instances):
        if each.score >= above:
            mask[each.mask] = each.class_id
    return mask
