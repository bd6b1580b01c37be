"""Masks that a segmenter predicts on the training images: self-training.

The predictions of one round are the masks of the next. Tags say which classes an image can show; of
pixels that the network is not sure of nothing is said.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Predicted
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.dense_crf import on_probabilities


def make_mask(
    image: np.ndarray, probabilities: np.ndarray, class_ids: Sequence[int], spec: Predicted
) -> np.ndarray:
    """The mask, uint8 [H, W]: each pixel's most probable class, or 255 below the confidence.

    image: uint8 [H, W, 3]; probabilities: float [1 + K, H, W], background first, of the segmenter;
    class_ids: the mask ids of the image's tags, 1 to K. Where all that is left has probability 0,
    the pixel is background. The CRF, if any, is on the probabilities that are left.
    """
    ids = np.array([0, *class_ids] if spec.tags else range(len(probabilities)), np.uint8)
    shares = probabilities[ids].astype(np.float32)
    total = shares.sum(0)
    shares[0][total == 0] = 1
    shares /= np.where(total == 0, 1, total)
    if spec.inference.crf and len(ids) > 1:
        shares = on_probabilities(image, shares, spec.inference.crf)
    mask = ids[shares.argmax(0)]
    mask[shares.max(0) < np.float32(spec.confidence)] = IGNORED
    return mask
