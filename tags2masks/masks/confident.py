"""Certain labels from seeds at two background scores.

Source: IRN's public code (Ahn et al., CVPR 2019). In a seed at a high background score the class
pixels are certain; in a seed at a low one the background pixels are. A CRF refines both seeds.
Other pixels are left out of training. With saliency, this tells where background is certain
(`guides.py`).
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Confident
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.guides import guided, salient
from tags2masks.masks.label_crf import refine
from tags2masks.masks.seeds import seed, upsample


def make_mask(
    image: np.ndarray,
    maps: np.ndarray,
    class_ids: Sequence[int],
    spec: Confident,
    saliency: np.ndarray | None = None,
) -> np.ndarray:
    """Labels, uint8 [H, W]: a class of the strict seed, 0 where both have background, else 255.

    image: uint8 [H, W, 3]; maps: float16 [K, h, w]; class_ids: their K mask ids; saliency: float16
    [1, h, w], which then tells the background; of an image without a class all is background.
    Raises UserError as `seeds.upsample`.
    """
    scores = upsample(maps, image.shape[:2])
    if saliency is not None:
        return _guided(image, scores, class_ids, spec, saliency)
    high, low = (
        refine(image, seed(scores, class_ids, score), spec)
        for score in (spec.foreground_score, spec.background_score)
    )
    return agreement(high, low)


def agreement(strict: np.ndarray, loose: np.ndarray) -> np.ndarray:
    """Labels, uint8 [H, W]: the classes of `strict`; 0 where both have background; else 255.

    strict: uint8 [H, W], labels with little foreground; loose: the same with much foreground.
    """
    labels = np.where(strict == 0, IGNORED, strict)
    labels[(strict == 0) & (loose == 0)] = 0
    return labels.astype(np.uint8)


def _guided(
    image: np.ndarray,
    scores: np.ndarray,
    class_ids: Sequence[int],
    spec: Confident,
    saliency: np.ndarray,
) -> np.ndarray:
    labels = seed(scores, class_ids, spec.foreground_score)
    if not len(class_ids):
        return labels
    objects, cut = salient(image, saliency, spec.saliency_score, spec), spec.disagreement == "cut"
    if cut:
        labels[objects == 0] = 0
    return guided(refine(image, labels, spec), objects, keep_classes=cut)
