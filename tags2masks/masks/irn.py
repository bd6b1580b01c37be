"""Masks by IRN: maps that walked up to class boundaries (Ahn, Cho & Kwak, CVPR 2019), thresholded.

As in the public code, scores are divided by the image's highest score at full size.
"""

from collections.abc import Sequence

import numpy as np
from skimage.measure import label as connected

from tags2masks.config.masks import Irn
from tags2masks.masks.label_crf import refine
from tags2masks.masks.single import Made
from tags2masks.masks.walked import scores

FRAGMENT = 0.01
"""Instances smaller than this share of the image have score 0, as in IRN's public code."""


def make_mask(image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Irn) -> Made:
    """The mask, uint8 [H, W]: the best map of each pixel, or background; then the CRF, if any.

    image: uint8 [H, W, 3]; maps: after the walk, float16 [N, h, w]; class_ids: their N mask ids,
    several times the same for instances of a class.
    With `instances` also those: uint16 [H, W], 0 for none, and [class id, score] of each.
    Raises UserError as `seeds.upsample`.
    """
    full = scores(image, maps, spec)
    best = np.zeros(image.shape[:2], np.uint16)  # 1 + the number of the best map
    if len(full):
        best = (full.argmax(0) + 1).astype(np.uint16)
        best[full.max(0) <= np.float32(spec.background_score)] = 0
    mask = np.array([0, *class_ids], np.uint8)[best]
    if spec.crf:
        mask = refine(image, mask, spec.crf)
    if not spec.instances:
        return Made(mask)
    numbers, objects = _instances(best, full, class_ids)
    return Made(mask, {"instances": numbers}, {"instances": objects})


def _instances(
    best: np.ndarray, scores: np.ndarray, class_ids: Sequence[int]
) -> tuple[np.ndarray, list[list]]:
    """Numbered connected components of each map's pixels, with class and highest score."""
    parts = connected(best, background=0, connectivity=1).astype(np.uint16)
    sizes = np.bincount(parts.ravel())
    objects = []
    for number in range(1, len(sizes)):
        inside = parts == number
        which = best[inside][0] - 1
        large = sizes[number] >= FRAGMENT * parts.size
        objects.append(
            [int(class_ids[which]), float(scores[which][inside].max()) if large else 0.0]
        )
    return parts, objects
