"""Instances by a dense CRF in each box: what looks like its surroundings is background.

A binary CRF (Krähenbühl & Koltun, NIPS 2011) for each box by itself, on the box and a margin around
it: pixels of the margin are background for certain, those of the box foreground with a constant
probability. No paper's method, but the plain use of boxes, to compare others with.

Does not import torch: worker processes import this module.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tags2masks.config.instances import BoxCrf
from tags2masks.instance_store import Corners
from tags2masks.instances.windows import around, filled
from tags2masks.masks.dense_crf import on_probabilities


def make_masks(image: np.ndarray, boxes: Sequence[Corners], spec: BoxCrf) -> Iterator[np.ndarray]:
    """The mask of each box, bool [H, W], none of whose pixels is outside it.

    image: uint8 [H, W, 3]; boxes: x1, y1, x2, y2, inclusive. A mask that covers less than `least`
    of its box is replaced by the whole box. Raises UserError as `dense_crf.mean_field`.
    """
    for box in boxes:
        inside = filled(box, image.shape[:2])
        window = around(box, image.shape[:2], spec.margin)
        foreground = np.where(inside[window], spec.foreground, 0).astype(np.float32)
        refined = on_probabilities(image[window], np.stack([1 - foreground, foreground]), spec)
        mask = np.zeros_like(inside)
        mask[window] = (refined[1] > refined[0]) & inside[window]
        yield mask if mask.sum() >= spec.least * inside.sum() else inside
