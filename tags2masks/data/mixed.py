"""Random views of images with true masks and of the other images, which have pseudo-masks."""

import numpy as np
from torch import Tensor

from tags2masks.data.labelled import TrueMasks
from tags2masks.data.masked import MaskedViews, cycled
from tags2masks.data.views import Draw
from tags2masks.errors import UserError
from tags2masks.mask_ids import IGNORED


class MixedViews(MaskedViews):
    """Views of labelled images with their true masks, and of the others with pseudo-masks.

    Every batch of an even number of draws is half of each. An epoch has as many views as there are
    training images. Both halves go through their images in shuffled passes, which go on from epoch
    to epoch. A labelled image's pseudo-mask is never read.
    Raises UserError as `MaskedViews`, and if one of the halves is empty.
    """

    def __init__(self, true_masks: TrueMasks, *args):
        super().__init__(*args)
        self.true_masks = true_masks
        places = range(len(self.images))
        self.labelled = [row for row in places if self.images[row] in true_masks.files]
        self.unlabelled = [row for row in places if self.images[row] not in true_masks.files]
        with_pseudo_mask = set(self.masked)
        self.masked = [row for row in self.unlabelled if row in with_pseudo_mask]
        if not self.labelled:
            raise UserError("labelled: no training image has a true mask; delete it and run again")
        if not self.unlabelled:
            raise UserError(
                f"labelled: all {len(self.images)} training images have true masks, so none is "
                "left to learn from without; label fewer, or let a segmenter follow the masks of "
                "method full"
            )

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        _, seed, epoch, position = draw
        # Each pair of positions 2n and 2n + 1 has one of each half, in an order that changes, so
        # that also processes which share a batch (every second position, ...) get both.
        half = position.bit_count() % 2
        rows = (self.labelled, self.masked)[half]
        place = epoch * -(-len(self) // 2) + position // 2
        return self._view(cycled(rows, place, seed, half), draw[1:])

    def true_mask_known(self) -> bool:
        """Whether a pixel of some true mask is not ignored; usually one file is read."""
        return any((self._labels(row) != IGNORED).any() for row in self.labelled)

    def _labels(self, row: int) -> np.ndarray:
        image = self.images[row]
        if image in self.true_masks.files:
            return self.true_masks.read(image, self.sizes[row])
        return super()._labels(row)


class PairedViews(MixedViews):
    """Pairs of a labelled and an unlabelled view: (image, mask, image, pseudo-mask).

    An epoch is a pass over the unlabelled images; the labelled ones go on from epoch to epoch, in
    shuffled passes. An unlabelled image without a pseudo-mask has 255 everywhere.
    """

    def __len__(self) -> int:
        return len(self.unlabelled)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        row, seed, epoch, position = draw
        labelled = cycled(self.labelled, epoch * len(self) + position, seed, 0)
        seeds = (seed, epoch, position)
        return *self._view(labelled, (*seeds, 1)), *self._view(self.unlabelled[row], seeds)

    def _labels(self, row: int) -> np.ndarray:
        image = self.images[row]
        if image in self.true_masks.files or self._has_mask(row):
            return super()._labels(row)
        return np.full(self.sizes[row], IGNORED, np.uint8)
