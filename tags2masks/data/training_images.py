"""All training images of a data set, for map methods that use other images than the given one."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tags2masks.config.training import Augment
from tags2masks.data.images import read_image
from tags2masks.data.index import files_of, multi_hot, sizes_of
from tags2masks.data.views import random_view, to_tensor

KEPT_BYTES = 2**30
"""Decoded images are cached in memory up to this total size."""

# A view to draw: the row of the image, and the seeds of its crop.
View = tuple[int, Sequence[int]]


class TrainingImages:
    """The training images of all shards: their tags, and random views of them.

    rows: the index's rows of train; threads: number of threads that decode ahead, or 0.
    """

    def __init__(self, rows: pd.DataFrame, root: Path, classes: Sequence[str], threads: int = 0):
        self.paths, self.sizes = files_of(rows, root), sizes_of(rows)
        self.tagged = multi_hot(rows["tags"], classes) > 0
        """bool [N, K]"""
        self.threads = threads
        self._kept: dict[int, np.ndarray] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.paths)

    def sharing_no_tag(self, tagged: np.ndarray) -> np.ndarray:
        """Training images with tags that share no tag with the given images: bool [B, N].

        tagged: bool [B, K], the images' tags.
        """
        shared = tagged.astype(np.float32) @ self.tagged.T.astype(np.float32)
        return (shared == 0) & self.tagged.any(axis=1)

    def image(self, row: int) -> np.ndarray:
        """The whole image, uint8 [h, w, 3]; do not modify it."""
        image = self._kept.get(row)
        if image is None:
            image = read_image(self.paths[row], self.sizes[row])
            if self._bytes + image.nbytes <= KEPT_BYTES:
                self._kept[row] = image
                self._bytes += image.nbytes
        return image

    def views(
        self, batches: Iterable[Sequence[View]], augment: Augment, fill: Sequence[float]
    ) -> Iterator[Tensor]:
        """Yield the random views of each batch, uint8 [n, 3, S, S] with n ≥ 1.

        A view depends only on its row and seeds. With threads, the next batch is read while one is
        in use. fill: the colour of the padding, 0 to 1.
        """

        def view(wanted: View) -> Tensor:
            row, seeds = wanted
            rng = np.random.default_rng(seeds)
            return to_tensor(random_view(self.image(row), None, augment, fill, rng)[0])

        if not self.threads:
            yield from (torch.stack([view(wanted) for wanted in batch]) for batch in batches)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            ahead = None
            try:
                for batch in batches:
                    following = [pool.submit(view, wanted) for wanted in batch]
                    if ahead is not None:
                        yield torch.stack([future.result() for future in ahead])
                    ahead = following
                if ahead is not None:
                    yield torch.stack([future.result() for future in ahead])
            finally:
                pool.shutdown(cancel_futures=True)
