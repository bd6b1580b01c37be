"""Random views of images with their pseudo-masks, read from the shards."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from tags2masks.config.training import Augment
from tags2masks.data.images import read_image
from tags2masks.data.index import files_of, images_sha, sizes_of
from tags2masks.data.views import Draw, random_view, to_tensor
from tags2masks.errors import UserError
from tags2masks.store import Shard


class MaskedViews(Dataset):
    """Random views of training images: (uint8 [3, S, S], uint8 [S, S] with 255 ignored).

    shards: the files of the masks in shard order. If they are `partial`, the length is still the
    number of rows: images with a mask are repeated in shuffled passes, which go on from epoch to
    epoch, so that training has the same number of steps and sees each as often.
    Raises UserError if a shard does not match the index, or if there is no mask.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        root: Path,
        shards: Sequence[Path],
        masks_id: str,
        augment: Augment,
        fill: Sequence[float],
    ):
        self.images = rows["image"].tolist()
        self.paths, self.sizes = files_of(rows, root), sizes_of(rows)
        self.shard_of = rows["shard"].tolist()
        self.files = list(shards)
        self.shas = [images_sha(rows[rows["shard"] == n]) for n in range(len(shards))]
        self.masks_id = masks_id
        self.augment, self.fill = augment, fill
        self._open: dict[tuple[int, int], Shard] = {}  # by process and number
        self.masked = [row for row in range(len(rows)) if self._has_mask(row)]
        if not self.masked:
            raise UserError(f"{shards[0]}: no mask in it; delete it and run again")

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_open": {}}  # a loading process opens its own files

    def __len__(self) -> int:
        return len(self.paths)

    def _shard(self, row: int) -> Shard:
        number = self.shard_of[row]
        # A forked loading process inherits open files, but must not read them: both processes
        # would move the same position in a file.
        own = os.getpid(), number
        if own not in self._open:
            self._open[own] = Shard(self.files[number], self.masks_id, self.shas[number])
        return self._open[own]

    def _has_mask(self, row: int) -> bool:
        shard = self._shard(row)
        return not shard.partial or shard.holds(self.images[row])

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        place, *seeds = draw
        if len(self.masked) == len(self):
            return self._view(self.masked[place], seeds)
        seed, epoch, position = seeds
        return self._view(cycled(self.masked, epoch * len(self) + position, seed, 0), seeds)

    def _view(self, row: int, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        view, labels = random_view(
            read_image(self.paths[row], self.sizes[row]),
            self._labels(row),
            self.augment,
            self.fill,
            np.random.default_rng(seeds),
        )
        return to_tensor(view), torch.from_numpy(np.ascontiguousarray(labels))

    def _labels(self, row: int) -> np.ndarray:
        return self._shard(row).read(self.images[row])[0]


class ProbabilityViews(MaskedViews):
    """`MaskedViews` with the CRFs' probabilities (`masks/agreed.py`) instead of labels.

    Probabilities are uint8 [2, L, S, S], 0 in the padding and for labels that an image does not
    have; L is 1 + the largest number of tags of an image.
    """

    def __init__(self, rows: pd.DataFrame, *args):
        super().__init__(rows, *args)
        self.labels = 1 + max(map(len, rows["tags"]))

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        image, amounts = super().__getitem__(draw)
        amounts = amounts.movedim(-1, 0).unflatten(0, (2, -1))
        return image, F.pad(amounts, (0, 0, 0, 0, 0, self.labels - amounts.shape[1]))

    def _labels(self, row: int) -> np.ndarray:
        both = self._shard(row).read_further("probabilities", self.images[row])
        if both.shape[1] > self.labels:
            raise UserError(
                f"{self._shard(row).path}: image '{self.images[row]}' has {both.shape[1] - 1} "
                f"classes, but no training image has more than {self.labels - 1} tags; tag the "
                "images with all classes that they have boxes of"
            )
        return both.reshape(-1, *both.shape[2:]).transpose(1, 2, 0)


def cycled(rows: Sequence[int], place: int, seed: int, half: int) -> int:
    """The row at a place of an endless sequence of passes, each in a random order of its own."""
    again, within = divmod(place, len(rows))
    order = np.random.default_rng([seed, again, half, 1]).permutation(len(rows))
    return rows[order[within]]
