"""Masks by IRN: maps that walked up to class boundaries (Ahn, Cho & Kwak, CVPR 2019), thresholded.

As in the public code, scores are divided by the image's highest score at full size.
"""

from collections.abc import Sequence

import numpy as np
from skimage.measure import label as connected

from tags2masks.config.masks import Irn
from tags2masks.instance_store import KIND, Instance, coded, instance
from tags2masks.masks.label_crf import refine
from tags2masks.masks.single import Made
from tags2masks.masks.walked import scores

FRAGMENT = 0.01
"""Instances smaller than this share of the image have score 0, as in IRN's public code."""


def make_mask(image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Irn) -> Made:
    """The mask, uint8 [H, W]: the best map of each pixel, or background; then the CRF, if any.

    image: uint8 [H, W, 3]; maps: after the walk, float16 [N, h, w]; class_ids: their N mask ids,
    several times the same for instances of a class.
    With `instances` also those (`tags2masks.instance_store`).
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
    codes, rows = coded(_instances(best, full, class_ids))
    return Made(mask, {KIND: codes}, {KIND: rows})


def _instances(best: np.ndarray, scores: np.ndarray, class_ids: Sequence[int]) -> list[Instance]:
    """Connected components of each map's pixels, with class and highest score."""
    parts = connected(best, background=0, connectivity=1)
    found = []
    for number in range(1, parts.max(initial=0) + 1):
        inside = parts == number
        which = best[inside][0] - 1
        large = inside.sum() >= FRAGMENT * parts.size
        score = float(scores[which][inside].max()) if large else 0.0
        found.append(instance(class_ids[which], inside, score))
    return found
