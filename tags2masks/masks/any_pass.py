"""FickleNet's masks: what any random pass scores high (Lee et al., CVPR 2019).

Lee's thesis (section 3.2.1) says that pixels "allocated to a specific class with high scores in
each localization map" are aggregated. The score of 0.35, and that of several classes the one of
the higher mean map stands, are known of the CVPR paper, whose text has not been compared; so is
that pixels of no class are ignored and that background is told by a saliency detector.

Not `vote`, which is of the masks of several chains.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import AnyPass
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.guides import is_salient
from tags2masks.masks.seeds import best_class, upsample


def make_mask(
    image: np.ndarray,
    maps: np.ndarray,
    class_ids: Sequence[int],
    spec: AnyPass,
    passes: np.ndarray,
    saliency: np.ndarray | None = None,
) -> np.ndarray:
    """uint8 [H, W]: the class that reaches `score` in some pass and has the highest mean, or 255.

    image: uint8 [H, W, 3], any content; maps: unused; class_ids: the K mask ids; passes: mean and
    highest value of the passes, float16 [K, 2, h, w]; saliency: float16 [1, h, w], by which pixels
    of no class that are not salient become 0. Raises UserError as `seeds.upsample`.
    """
    size = image.shape[:2]
    mean, highest = (upsample(passes[:, part], size) for part in (0, 1))
    reached = highest > np.float32(spec.score)
    # Classes that do not reach the score are below all that do.
    _, ids = best_class(np.where(reached, mean, -1), class_ids)
    mask = np.where(reached.any(0), ids, np.uint8(IGNORED))
    if saliency is not None:
        mask[(mask == IGNORED) & ~is_salient(saliency, size, spec.saliency_score)] = 0
    return mask
