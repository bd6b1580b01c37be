"""Masks of maps whose background is told by maps of objects.

`complement`: the best of 1 − saliency and the classes, as P-NOC measures saliency maps (David et
al., 2023, table 3; C²AM's public code). `cut`: EDAM's public code (Wu et al., CVPR 2021), where
background scores 1 if nothing is salient and else 0; a class below `least` never stands, one above
`peak` of its highest always does.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import SaliencyCut
from tags2masks.masks.guides import is_salient
from tags2masks.masks.seeds import best_class, upsample


def make_mask(
    image: np.ndarray,
    maps: np.ndarray,
    class_ids: Sequence[int],
    spec: SaliencyCut,
    saliency: np.ndarray,
) -> np.ndarray:
    """The mask, uint8 [H, W]: the class of the best map, or 0 where background wins.

    image: uint8 [H, W, 3], any content; maps: float16 [K, h, w]; class_ids: their K mask ids;
    saliency: float16 [1, h, w]. Background wins ties. Raises UserError as `seeds.upsample`.
    """
    size = image.shape[:2]
    full = upsample(maps, size)
    best, ids = best_class(full, class_ids)
    if spec.background == "complement":
        ids[best <= 1 - upsample(saliency, size)[0]] = 0
        return ids
    stands = is_salient(saliency, size, spec.saliency_score) & (best >= np.float32(spec.least))
    if len(full):
        # Divided by its maximum at full size, which is below that of the stored map.
        highest = full / np.maximum(full.max((1, 2), keepdims=True), np.finfo(np.float32).tiny)
        stands |= np.take_along_axis(highest, full.argmax(0)[None], 0)[0] > np.float32(spec.peak)
    ids[~stands] = 0
    return ids
