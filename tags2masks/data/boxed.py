"""Images with their boxes as detectors see them: whole, resized by their short side."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from tags2masks.config.detectors import ShortSides
from tags2masks.data.boxes import CORNERS, read_boxes
from tags2masks.data.images import ImageFile, read_image
from tags2masks.data.index import files_of, sizes_of
from tags2masks.data.views import Draw, batches_of_like_size, to_tensor
from tags2masks.errors import UserError

Size = tuple[int, int]


class Boxes(NamedTuple):
    """The boxes of an image.

    corners: int64 [n, 4], x1, y1, x2, y2 in pixels from 0, both inclusive; classes: int64 [n], from
    1; difficult: bool [n].
    """

    corners: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray

    @property
    def edges(self) -> np.ndarray:
        """float32 [n, 4] as networks have boxes: x2, y2 behind the last pixel."""
        return (self.corners + np.array([0, 0, 1, 1])).astype(np.float32)


def boxes_of(
    path: Path | str, rows: pd.DataFrame, classes: Sequence[str], keep_difficult: bool = True
) -> list[Boxes]:
    """The boxes of each image of the rows, in the order of the table (boxes.csv).

    Raises UserError naming the table if it has a class that is not among the classes.
    """
    table, ids = read_boxes(path), {name: at for at, name in enumerate(classes, start=1)}
    if unknown := sorted(set(table["class"]) - ids.keys()):
        raise UserError(f"{path}: '{unknown[0]}' is none of the classes; delete it and run again")
    if not keep_difficult:
        table = table[~table["difficult"]]
    groups = dict(iter(table.groupby("image", sort=False)))
    none = table[:0]
    return [
        Boxes(
            own[list(CORNERS)].to_numpy(np.int64).reshape(-1, 4),
            np.array([ids[name] for name in own["class"]], np.int64),
            own["difficult"].to_numpy(bool),
        )
        for own in (groups.get(image, none) for image in rows["image"])
    ]


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
