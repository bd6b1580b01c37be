"""Certain labels from two background maps, as in AffinityNet's public code.

The background map is (1 − highest score)^power. A low power gives much background, so the remaining
class pixels are certain; a high power gives little background, which is then certain. A CRF refines
the maps of both.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Agreed
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.dense_crf import on_probabilities
from tags2masks.masks.seeds import upsample
from tags2masks.masks.single import Made


def make_mask(image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Agreed) -> Made:
    """Labels, uint8 [H, W]: 0 where the high power gives background, else the low power's, or 255.

    image: uint8 [H, W, 3]; maps: float16 [K, h, w]; class_ids: their K mask ids.
    With `keep_probabilities` also {"probabilities": uint8 [2, 1 + K, H, W]} in 255ths: low power
    first, background before the classes of the maps.
    Raises UserError as `seeds.upsample`.
    """
    scores = upsample(maps, image.shape[:2])
    ids = np.array([0, *class_ids], np.uint8)
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


def with_background(scores: np.ndarray, power: float) -> np.ndarray:
    """Prepend the background map (1 − highest score)^power to scores [K, H, W]: [1 + K, H, W]."""
    highest = scores.max(0) if len(scores) else np.zeros(scores.shape[1:], scores.dtype)
    return np.concatenate([((1 - highest) ** power)[None], scores])


def _refined(image: np.ndarray, probabilities: np.ndarray, spec: Agreed) -> np.ndarray:
    """Probabilities after the CRF, [1 + K, H, W]; unchanged if there is only one label."""
    return on_probabilities(image, probabilities, spec) if len(probabilities) > 1 else probabilities
