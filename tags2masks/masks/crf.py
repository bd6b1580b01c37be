"""Masks by a dense conditional random field on the seeds (Krähenbühl & Koltun, NIPS 2011)."""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Crf
from tags2masks.masks.label_crf import refine
from tags2masks.masks.seeds import seed, upsample


def make_mask(
    image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Crf
) -> np.ndarray:
    """The mask, uint8 [H, W]: the seed at `background_score`, refined by a CRF.

    image: uint8 [H, W, 3]; maps: float16 [K, h, w]; class_ids: their K mask ids.
    Raises UserError as `seeds.upsample`.
    """
    return refine(
        image, seed(upsample(maps, image.shape[:2]), class_ids, spec.background_score), spec
    )
