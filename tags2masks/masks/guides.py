"""Saliency as a guide of certain labels (P-NOC; David et al., 2023, section 3.3.1).

Does not import torch: worker processes import this module.
"""

import numpy as np

from tags2masks.config.crf import LabelCrf
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.label_crf import refine
from tags2masks.masks.seeds import upsample


def is_salient(saliency: np.ndarray, size: tuple[int, int], score: float) -> np.ndarray:
    """bool [H, W]: where a map of objects, float16 [1, h, w], is above the score."""
    return upsample(saliency, size)[0] > np.float32(score)


def salient(image: np.ndarray, saliency: np.ndarray, score: float, crf: LabelCrf) -> np.ndarray:
    """uint8 [H, W]: 1 where something is salient after a CRF, else 0."""
    return refine(image, is_salient(saliency, image.shape[:2], score).astype(np.uint8), crf)


def guided(certain: np.ndarray, objects: np.ndarray, keep_classes: bool) -> np.ndarray:
    """Labels, uint8 [H, W], from classes that are certain and from what is salient.

    certain: uint8 [H, W], 0 where no class is; objects: uint8 [H, W], 1 where something is salient.
    A class stands where something is salient; where neither is, there is background; else 255. A
    class where nothing is salient stands with `keep_classes`, and is 255 without.
    """
    labels = certain.copy()
    labels[(certain == 0) & (objects != 0)] = IGNORED
    if not keep_classes:
        labels[(certain != 0) & (objects == 0)] = IGNORED
    return labels
