"""Masks by a dense conditional random field on the seeds (Krähenbühl & Koltun, NIPS 2011)."""

from collections.abc import Sequence

import numpy as np
from pydensecrf.utils import unary_from_labels

from tags2masks.config.masks import Crf, LabelCrf
from tags2masks.masks.dense_crf import mean_field
from tags2masks.masks.seeds import seed, upsample

READS_IMAGES = True


def make_mask(
    image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Crf
) -> np.ndarray:
    """uint8 [H, W]: the seed at `background_score`, its borders moved to the image's edges.

    image: uint8 [H, W, 3]; maps: float16 [K, h, w]; class_ids: their K mask ids.
    Raises UserError as `seeds.upsample` does.
    """
    return refine(
        image, seed(upsample(maps, image.shape[:2]), class_ids, spec.background_score), spec
    )


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
