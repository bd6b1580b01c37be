"""Stored features of training images with their tags, in memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tags2masks.data.index import images_sha
from tags2masks.data.views import Draw
from tags2masks.store import Shard


class PooledViews(Dataset):
    """Pooled features of training images with their tags: (float [C], float [K]).

    shards: the files of the features [V, C] of each image, in shard order; V is 2 if mirror images
    have features too, which are drawn with probability `flip`. All are read at once.
    Raises UserError if a shard does not match the index.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        targets: np.ndarray,
        shards: Sequence[Path],
        features_id: str,
        flip: float,
    ):
        rows = rows.reset_index(drop=True)
        found = {}
        for number, file in enumerate(shards):
            own = rows[rows["shard"] == number]
            with Shard(file, features_id, images_sha(own)) as shard:
                for row, image in own["image"].items():
                    found[row] = torch.from_numpy(shard.read(image)[0])
        self.features = torch.stack([found[row] for row in range(len(rows))])
        self.targets, self.flip = torch.from_numpy(targets), flip

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        row, *seeds = draw
        mirrored = np.random.default_rng(seeds).random() < self.flip
        return self.features[row, int(mirrored)], self.targets[row]
