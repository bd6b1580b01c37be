"""Dense conditional random fields on labels.

Does not import torch: worker processes import this module.
"""

import numpy as np
from pydensecrf.utils import unary_from_labels

from tags2masks.config.crf import LabelCrf
from tags2masks.masks.dense_crf import mean_field


def refine(image: np.ndarray, labels: np.ndarray, spec: LabelCrf) -> np.ndarray:
    """The most probable labels after the CRF, uint8 [H, W], among the labels in the seed.

    image: uint8 [H, W, 3]; labels: uint8 [H, W], the seed. A seed with a single label is returned
    unchanged.
    """
    present = np.unique(labels)
    if len(present) == 1:
        return labels
    return present[probabilities(image, labels, spec).argmax(axis=0)]


def probabilities(image: np.ndarray, labels: np.ndarray, spec: LabelCrf) -> np.ndarray:
    """Probabilities of the L ≥ 2 labels in `labels`, in ascending order: float32 [L, H, W]."""
    present, compact = np.unique(labels, return_inverse=True)
    unary = unary_from_labels(compact, len(present), spec.gt_prob, zero_unsure=False)
    return mean_field(image, unary, spec)
