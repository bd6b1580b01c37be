"""Masks by a constant background score: the seeds, without refinement."""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Threshold
from tags2masks.masks.seeds import seed, upsample


def make_mask(
    image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Threshold
) -> np.ndarray:
    """The mask, uint8 [H, W]: the class of the best map, or 0 where background wins.

    image: uint8 [H, W, 3], any content; maps: float16 [K, h, w]; class_ids: their K mask ids.
    Raises UserError as `seeds.upsample`.
    """
    return seed(upsample(maps, image.shape[:2]), class_ids, spec.background_score)
