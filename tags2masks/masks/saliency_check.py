"""Masks without the pixels where they and maps of objects disagree (RIB; Lee et al., NeurIPS 2021).

As RIB trains segmenters with saliency (Lee's thesis, table 3.7): a class where nothing is salient,
and background where something is, become 255.
"""

import numpy as np

from tags2masks.config.masks import SaliencyCheck
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.guides import is_salient


def make_mask(mask: np.ndarray, spec: SaliencyCheck, saliency: np.ndarray) -> np.ndarray:
    """uint8 [H, W]: the mask, or 255 where only one of it and the saliency has an object.

    mask: uint8 [H, W], 255 stays; saliency: float16 [1, h, w]. Raises UserError as
    `seeds.upsample`.
    """
    objects = is_salient(saliency, mask.shape, spec.saliency_score)
    checked = mask.copy()
    checked[(mask != 0) != objects] = IGNORED
    return checked
