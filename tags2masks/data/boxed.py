"""Images with their boxes as detectors see them: whole, resized by their short side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from tags2masks.config.detectors import ShortSides
from tags2masks.data.boxes import Boxes
from tags2masks.data.images import ImageFile, read_image
from tags2masks.data.index import files_of, sizes_of
from tags2masks.data.views import Draw, batches_of_like_size, to_tensor

Size = tuple[int, int]


def fitted(size: Size, short_side: int, longest: int) -> Size:
    """The (height, width) of an image with this short side, or this long side if that is smaller.

    Sides are rounded, and one pixel at least.
    """
    factor = min(short_side / min(size), longest / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def read_resized(file: ImageFile, size: Size, wanted: Size) -> np.ndarray:
    """An image, uint8 [h, w, 3], of the wanted (height, width); raises as `read_image`."""
    image = Image.fromarray(read_image(file, size))
    return np.asarray(image.resize(wanted[::-1], Image.Resampling.BILINEAR))


def scaled(edges: np.ndarray, size: Size, wanted: Size) -> np.ndarray:
    """Boxes, float32 [n, 4], of an image of `size` after it is resized to the wanted size."""
    down, across = (to / of for to, of in zip(wanted, size, strict=True))
    return edges * np.array([across, down, across, down], np.float32)


class BoxedViews(Dataset):
    """Random views of training images: (uint8 [3, h, w], boxes float32 [n, 4], classes int64 [n]).

    boxes: of each of the rows.
    """

    def __init__(self, rows: pd.DataFrame, root: Path, boxes: Sequence[Boxes], augment: ShortSides):
        self.paths, self.sizes = files_of(rows, root), sizes_of(rows)
        self.boxes, self.augment = boxes, augment

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        row, *seeds = draw
        rng, size = np.random.default_rng(seeds), self.sizes[row]
        wanted = fitted(size, int(rng.choice(self.augment.short_sides)), self.augment.longest)
        image = read_resized(self.paths[row], size, wanted)
        boxes = scaled(self.boxes[row].edges, size, wanted)
        if rng.random() < self.augment.flip:
            image = image[:, ::-1]
            boxes[:, [0, 2]] = wanted[1] - boxes[:, [2, 0]]
        return to_tensor(image), torch.from_numpy(boxes), torch.from_numpy(self.boxes[row].classes)

    @staticmethod
    def collate(examples: Sequence[tuple[Tensor, ...]]) -> list[list[Tensor]]:
        """A batch: images, boxes and classes, each a list, for images differ in size."""
        return [list(part) for part in zip(*examples, strict=True)]


class ResizedImages(Dataset):
    """Batches of whole images that have one size after resizing: (rows, uint8 [B, 3, h, w])."""

    def __init__(
        self, rows: pd.DataFrame, root: Path, short_side: int, longest: int, batch_size: int
    ):
        self.paths, self.sizes = files_of(rows, root), sizes_of(rows)
        self.wanted = [fitted(size, short_side, longest) for size in self.sizes]
        self.batches = batches_of_like_size(self.wanted, batch_size)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> tuple[list[int], Tensor]:
        rows = self.batches[number]
        images = [read_resized(self.paths[row], self.sizes[row], self.wanted[row]) for row in rows]
        return rows, torch.stack(list(map(to_tensor, images)))
