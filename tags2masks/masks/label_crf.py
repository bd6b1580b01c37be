"""Dense conditional random fields on labels, as masks have them before they are refined.

No torch here: this runs in every worker.
"""

import numpy as np
from pydensecrf.utils import unary_from_labels

from tags2masks.config.masks import LabelCrf
from tags2masks.masks.dense_crf import mean_field


def refine(image: np.ndarray, labels: np.ndarray, spec: LabelCrf) -> np.ndarray:
    """The most probable labels under the field, uint8 [H, W], among those that the seed has.

    image: uint8 [H, W, 3]; labels: uint8 [H, W], the seed.
    A seed of one label comes back as it is: nothing is left to decide, and what is not trusted in
    it could be shared out to no other label.
    """
    present = np.unique(labels)
    if len(present) == 1:
        return labels
    return present[probabilities(image, labels, spec).argmax(axis=0)]


def probabilities(image: np.ndarray, labels: np.ndarray, spec: LabelCrf) -> np.ndarray:
    """float32 [L, H, W]: each pixel's probability of the L >= 2 labels in `labels`, ascending."""
    present, compact = np.unique(labels, return_inverse=True)
    unary = unary_from_labels(compact, len(present), spec.gt_prob, zero_unsure=False)
    return mean_field(image, unary, spec)
