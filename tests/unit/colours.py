"""A network whose features are the colours, and prototypes for it."""

import numpy as np
import torch
from torch import nn

from tags2masks.prototypes.store import ClassPrototypes


class Colours(nn.Module):
    """Features are the colours; class 0 is red, class 1 green, class 2 blue, each times ten."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 3, 1, bias=False).requires_grad_(False)
        self.head.weight[:] = 10 * torch.eye(3)[..., None, None]

    def features(self, images):
        return images

    def score_maps(self, features):
        return self.head(features)


def made_of(own, context, chosen=None):
    """Prototypes with these vectors, all chosen unless told."""
    vectors = np.array([*own, *context], np.float32)
    count = len(vectors)
    is_context = np.arange(count) >= len(own)
    chosen = np.ones(count, bool) if chosen is None else np.array(chosen, bool)
    return ClassPrototypes(
        vectors, is_context, np.zeros(count), chosen, np.ones(count, int), [[]] * count
    )
