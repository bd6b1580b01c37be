"""Masks by AffinityNet: maps and a background map after a random walk (Ahn & Kwak, CVPR 2018)."""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Psa
from tags2masks.masks.label_crf import refine
from tags2masks.masks.walked import scores


def make_mask(
    image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Psa
) -> np.ndarray:
    """The mask, uint8 [H, W]: the best map of each pixel; then the CRF, if any.

    image: uint8 [H, W, 3]; maps: after the walk, float16 [1 + K, h, w]; class_ids: their mask ids,
    0 of the background map.
    Raises UserError as `seeds.upsample`.
    """
    mask = np.array(class_ids, np.uint8)[scores(image, maps, spec).argmax(0)]
    return refine(image, mask, spec.crf) if spec.crf else mask
