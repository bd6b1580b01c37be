"""Certain labels from two background maps, as in AffinityNet's public code.

The background map is (1 − highest score)^power. A low power gives much background, so the remaining
class pixels are certain; a high power gives little background, which is then certain. A CRF refines
the maps of both. With saliency, this tells where background is certain (`guides.py`).
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Agreed
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.dense_crf import on_probabilities
from tags2masks.masks.guides import guided, is_salient
from tags2masks.masks.seeds import upsample
from tags2masks.masks.single import Made

SALIENT = 0.7  # probability of an object where something is salient, before the CRF; IRN's


def make_mask(
    image: np.ndarray,
    maps: np.ndarray,
    class_ids: Sequence[int],
    spec: Agreed,
    saliency: np.ndarray | None = None,
) -> Made:
    """Labels, uint8 [H, W]: 0 where the high power gives background, else the low power's, or 255.

    image: uint8 [H, W, 3]; maps: float16 [K, h, w]; class_ids: their K mask ids; saliency: float16
    [1, h, w], which then stands for the high power; of an image without a class all is background.
    With `keep_probabilities` also {"probabilities": uint8 [2, 1 + K, H, W]} in 255ths: low power
    first, background before the classes of the maps.
    Raises UserError as `seeds.upsample`.
    """
    scores = upsample(maps, image.shape[:2])
    ids = np.array([0, *class_ids], np.uint8)
    if saliency is not None and len(class_ids):
        return _guided(image, scores, ids, spec, saliency)
    both = [
        _refined(image, with_background(scores, power), spec)
        for power in (spec.low_power, spec.high_power)
    ]
    strict, loose = (ids[probabilities.argmax(0)] for probabilities in both)
    labels = np.where(strict == 0, IGNORED, strict).astype(np.uint8)
    labels[loose == 0] = 0
    if not spec.keep_probabilities:
        return Made(labels)
    return Made(labels, {"probabilities": np.rint(255 * np.stack(both)).astype(np.uint8)})


def _guided(
    image: np.ndarray, scores: np.ndarray, ids: np.ndarray, spec: Agreed, saliency: np.ndarray
) -> Made:
    """Labels with the CRF of what is salient in the place of the high power's."""
    seen = is_salient(saliency, image.shape[:2], spec.saliency_score)
    shares = np.where(seen, [[[1 - SALIENT]], [[SALIENT]]], [[[SALIENT]], [[1 - SALIENT]]])
    loose = _refined(image, shares, spec) if seen.any() else np.stack([~seen, seen])
    objects, cut = loose.argmax(0).astype(np.uint8), spec.disagreement == "cut"
    strict = _refined(
        image, with_background(scores * objects if cut else scores, spec.low_power), spec
    )
    best = ids[strict.argmax(0)]
    labels = guided(best, objects, keep_classes=cut)
    if not spec.keep_probabilities:
        return Made(labels)
    # In the second CRF it only matters what is background; the rest is given to the first class.
    padded = np.zeros_like(strict)
    padded[:2] = loose
    apart = (best != 0) & (objects == 0)
    if cut:
        padded[:2, apart] = [[0], [1]]
    else:  # counts for no label of its cell
        padded[:, apart] = strict[:, apart] = 0
    return Made(
        labels, {"probabilities": np.rint(255 * np.stack([strict, padded])).astype(np.uint8)}
    )


def with_background(scores: np.ndarray, power: float) -> np.ndarray:
    """Prepend the background map (1 − highest score)^power to scores [K, H, W]: [1 + K, H, W]."""
    highest = scores.max(0) if len(scores) else np.zeros(scores.shape[1:], scores.dtype)
    return np.concatenate([((1 - highest) ** power)[None], scores])


def _refined(image: np.ndarray, probabilities: np.ndarray, spec: Agreed) -> np.ndarray:
    """Probabilities after the CRF, [1 + K, H, W]; unchanged if there is only one label."""
    return on_probabilities(image, probabilities, spec) if len(probabilities) > 1 else probabilities
