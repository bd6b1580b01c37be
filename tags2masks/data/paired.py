"""Random views of pairs of training images that share a class."""

import numpy as np
import torch
from torch import Tensor

from tags2masks.data.images import read_image
from tags2masks.data.views import Draw, TaggedViews, perturb, random_view, to_tensor


class PairedViews(TaggedViews):
    """A view of each training image and of a partner: (uint8 [2, 3, S, S], float [2, K]).

    The partner is a random other image of one of the image's classes, drawn at random among those
    that another image has. An image without such a class is its own partner, in another view.
    """

    def __init__(self, *args):
        super().__init__(*args)
        tagged = self.targets.numpy() > 0
        self.shared = tagged & (tagged.sum(0) > 1)
        self.members = [np.flatnonzero(of_class) for of_class in tagged.T]

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        row, *seeds = draw
        rng = np.random.default_rng(seeds)
        rows = [row, self.partner(row, rng)]
        views = []
        for number in rows:
            image = read_image(self.paths[number], self.sizes[number])
            view, _ = random_view(image, None, self.augment, self.fill, rng)
            views.append(to_tensor(perturb(view, self.augment, rng)))
        return torch.stack(views), self.targets[rows]

    def partner(self, row: int, rng: np.random.Generator) -> int:
        """The row of an image's partner; its own if no other image has one of its classes."""
        classes = np.flatnonzero(self.shared[row])
        if not len(classes):
            return row
        members = self.members[rng.choice(classes)]
        return int(rng.choice(members[members != row]))

    def alone(self) -> np.ndarray:
        """The rows of the images that have no partner, int [n]."""
        return np.flatnonzero(~self.shared.any(1))
