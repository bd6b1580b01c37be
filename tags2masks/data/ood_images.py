"""Out-of-distribution images: whole, in part erased, and as random views beside tagged images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from tags2masks.config.tag_training import TagAugment
from tags2masks.data.images import read_image
from tags2masks.data.index import files_of, sizes_of
from tags2masks.data.mixed import cycled
from tags2masks.data.views import (
    Draw,
    TaggedViews,
    perturb,
    plain_view,
    random_view,
    to_tensor,
    whole_view,
)


class OodImages:
    """Images below root; rows: of the index of candidates.

    erase: for each image a map, float32 [h, w]; its pixels above 0 have the colour `fill` (0 to 1).
    None: images are as they are.
    """

    def __init__(self, rows: pd.DataFrame, root: Path, fill: Sequence[float]):
        self.files, self.sizes = files_of(rows, root), sizes_of(rows)
        self.colour = np.round(np.asarray(fill) * 255).astype(np.uint8)
        self.fill = fill
        self.erase: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def read(self, row: int) -> np.ndarray:
        """The whole image, uint8 [H, W, 3], erased where its map says so."""
        image = read_image(self.files[row], self.sizes[row])
        if self.erase is None:
            return image
        size = image.shape[1], image.shape[0]
        erased = Image.fromarray(self.erase[row]).resize(size, Image.Resampling.BILINEAR)
        return np.where(np.asarray(erased)[..., None] > 0, self.colour, image)

    def whole(self, row: int, augment: TagAugment) -> Tensor:
        """The whole image at the mean of the training sizes: uint8 [3, h, w]."""
        return to_tensor(whole_view(self.read(row), augment))

    def view(self, row: int, augment: TagAugment, seeds: Sequence[int]) -> Tensor:
        """A random view, as of training images: uint8 [3, S, S]."""
        rng = np.random.default_rng(seeds)
        view, _ = random_view(self.read(row), None, augment, self.fill, rng)
        return to_tensor(perturb(view, augment, rng))


class PlainOod(Dataset):
    """Plain views of out-of-distribution images, by row number: (uint8 [3, S, S], row)."""

    def __init__(self, images: OodImages, augment: TagAugment):
        self.images, self.augment = images, augment

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        view = plain_view(self.images.read(row), self.augment, self.images.fill)
        return to_tensor(view), row


class OodViews(TaggedViews):
    """Random views of tagged images, each with a view of an out-of-distribution image.

    Examples are (uint8 [3, S, S], float [K], uint8 [3, S, S]). The out-of-distribution images come
    in shuffled passes that go on from epoch to epoch.
    """

    def __init__(self, ood: OodImages, *args):
        super().__init__(*args)
        self.ood = ood

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        _, seed, epoch, position = draw
        row = cycled(range(len(self.ood)), epoch * len(self) + position, seed, 0)
        other = self.ood.view(row, self.augment, (seed, epoch, position, 1))
        return *super().__getitem__(draw), other
