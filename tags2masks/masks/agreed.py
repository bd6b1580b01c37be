"""Labels that are certain, from two strengths of the background (AffinityNet's public code).

The background's map is (1 - the highest score) to a power: a low power makes much background, and
the classes that are left are sure; a high one makes little, and that is sure. Both are refined by a
CRF on the maps themselves.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Agreed
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.dense_crf import on_probabilities
from tags2masks.masks.seeds import upsample

READS_IMAGES = True


def make_mask(
    image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Agreed
) -> np.ndarray | tuple[np.ndarray, dict[str, np.ndarray]]:
    """uint8 [H, W]: 0 where both have background, a class where the low power leaves one, else 255.

    image: uint8 [H, W, 3]; maps: float16 [K, h, w]; class_ids: their K mask ids.
    With `keep_probabilities` beside it {"probabilities": uint8 [2, 1 + K, H, W]}: in 255ths, those
    of the low power first, the background before the maps' classes.
    Raises UserError as `seeds.upsample` does.
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
        return labels
    return labels, {"probabilities": np.rint(255 * np.stack(both)).astype(np.uint8)}


def with_background(scores: np.ndarray, power: float) -> np.ndarray:
    """[1 + K, H, W]: before the scores [K, H, W] the background's, (1 - the highest)^power."""
    highest = scores.max(0) if len(scores) else np.zeros(scores.shape[1:], scores.dtype)
    return np.concatenate([((1 - highest) ** power)[None], scores])


def _refined(image: np.ndarray, probabilities: np.ndarray, spec: Agreed) -> np.ndarray:
    """[1 + K, H, W]: probabilities under the field; of one label alone there are no others."""
    return on_probabilities(image, probabilities, spec) if len(probabilities) > 1 else probabilities
