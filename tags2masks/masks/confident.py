"""Labels that are certain, for networks that learn from some pixels and leave out the rest.

Source: IRN's public code (Ahn et al., CVPR 2019). The seed is taken at a high background score,
where what is left of a class is its surest part, and at a low one, where what is left of the
background is; each is refined by a CRF.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Confident
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.label_crf import refine
from tags2masks.masks.seeds import seed, upsample

READS_IMAGES = True


def make_mask(
    image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Confident
) -> np.ndarray:
    """uint8 [H, W]: a class where the high score leaves one, 0 where the low one does, else 255.

    image: uint8 [H, W, 3]; maps: float16 [K, h, w]; class_ids: their K mask ids.
    Raises UserError as `seeds.upsample` does.
    """
    scores = upsample(maps, image.shape[:2])
    high, low = (
        refine(image, seed(scores, class_ids, score), spec)
        for score in (spec.foreground_score, spec.background_score)
    )
    return agreement(high, low)


def agreement(strict: np.ndarray, loose: np.ndarray) -> np.ndarray:
    """uint8 [H, W]: `strict`'s classes; 0 where both have background; 255 where just it has.

    strict: uint8 [H, W], labels with little foreground; loose: the same with much.
    """
    labels = np.where(strict == 0, IGNORED, strict)
    labels[(strict == 0) & (loose == 0)] = 0
    return labels.astype(np.uint8)
