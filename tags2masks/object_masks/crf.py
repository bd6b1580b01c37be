"""Masks of objects: thresholded objectness, refined by a dense CRF, as in C²AM's public code.

Does not import torch: worker processes import this module.
"""

import numpy as np

from tags2masks.config.object_masks import ObjectCrf
from tags2masks.masks.guides import salient


def make_mask(image: np.ndarray, objectness: np.ndarray, spec: ObjectCrf) -> np.ndarray:
    """uint8 [H, W]: 1 for objects, 0 for the background.

    image: uint8 [H, W, 3]; objectness: float16 [1, h, w]. Raises UserError as `seeds.upsample`.
    """
    return salient(image, objectness, spec.score, spec)
