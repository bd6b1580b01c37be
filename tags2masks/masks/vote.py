"""A vote of the masks of several chains."""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Vote
from tags2masks.mask_ids import IGNORED


def make_mask(masks: Sequence[np.ndarray], spec: Vote) -> np.ndarray:
    """uint8 [H, W]: the label that most masks have; 255 if several have as many, or none has one.

    masks: uint8 [H, W] each; their 255 is no vote.
    """
    stack = np.stack(masks)
    labels = np.setdiff1d(stack, [IGNORED])
    if not len(labels):
        return np.full(stack.shape[1:], IGNORED, np.uint8)
    votes = np.stack([(stack == label).sum(0) for label in labels])
    best = votes.max(0)
    winner = labels[votes.argmax(0)]
    winner[((votes == best).sum(0) > 1) | (best == 0)] = IGNORED
    return winner
