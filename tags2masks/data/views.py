"""Views of the images for networks: random views for training, plain views for evaluation."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from tags2masks.allocator import give_back
from tags2masks.config.tag_training import TagAugment
from tags2masks.config.training import Augment
from tags2masks.data.images import read_image
from tags2masks.data.index import files_of, sizes_of
from tags2masks.mask_ids import IGNORED

# A training example to draw: (row, seed of the run, epoch, position in the epoch).
Draw = tuple[int, int, int, int]


def random_view(
    image: np.ndarray,
    labels: np.ndarray | None,
    augment: Augment,
    fill: Sequence[float],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Resize, crop (or pad) and flip an image together with its labels.

    image: uint8 [h, w, 3]; labels: uint8 [h, w], or probabilities [h, w, L], or None; fill: the
    colour of the padding, 0 to 1.
    A TagAugment also changes colours, and may rotate or shear the image, before cropping.
    Returns uint8 [crop, crop, 3] and uint8 [crop, crop] or [crop, crop, L]; in the padding, labels
    are ignored (255) and probabilities 0.
    Raises ValueError for labels with RandAugment, which may move objects.
    """
    long_side = int(rng.integers(augment.resize[0], augment.resize[1] + 1))
    image, labels = _resize(image, labels, long_side, augment.square)
    if isinstance(augment, TagAugment):
        if labels is not None and augment.randaugment:
            raise ValueError("RandAugment moves what is in the image, but not its labels")
        image = _changed(image, augment, fill, rng)
    image, labels = _place(image, labels, augment.crop, fill, rng.random(2))
    if rng.random() < augment.flip:
        image = image[:, ::-1]
        labels = None if labels is None else labels[:, ::-1]
    return image, labels


def _changed(image, augment: TagAugment, fill, rng) -> np.ndarray:
    """Colour jitter, then RandAugment (Cubuk et al., 2020), as torchvision has them."""
    steps = []
    if any(augment.jitter):
        steps.append(v2.ColorJitter(*augment.jitter))
    if augment.randaugment:
        colour = [round(255 * part) for part in fill]
        steps.append(v2.RandAugment(augment.randaugment, augment.magnitude, fill=colour))
    if not steps:
        return image
    with torch.random.fork_rng(devices=[]):  # they use torch's global generator
        torch.manual_seed(int(rng.integers(2**63)))
        return np.asarray(v2.Compose(steps)(Image.fromarray(image)))


def perturb(view: np.ndarray, augment: TagAugment, rng: np.random.Generator) -> np.ndarray:
    """Add noise to a view, or set random pixels to black (Maruf et al., 2023, eq. 15 and 16).

    view: uint8 [S, S, 3]. Returns float32 on the same scale, not clipped, for `gaussian`; uint8 for
    `binary`; else the view itself.
    """
    if augment.perturb == "gaussian":
        noise = rng.standard_normal(view.shape, dtype=np.float32)
        return view + np.float32(255 * augment.sigma) * noise
    if augment.perturb == "binary":
        return view * (rng.random((*view.shape[:2], 1), dtype=np.float32) < augment.keep)
    return view


def plain_view(image: np.ndarray, augment: Augment, fill: Sequence[float]) -> np.ndarray:
    """The whole image, centred, at the mean of the training sizes: uint8 [crop, crop, 3]."""
    return _place(whole_view(image, augment), None, augment.crop, fill, (0.5, 0.5))[0]


def whole_view(image: np.ndarray, augment: Augment) -> np.ndarray:
    """The whole image at the mean of the training sizes, not padded: uint8 [h, w, 3]."""
    long_side = min(sum(augment.resize) // 2, augment.crop)
    return _resize(image, None, long_side, augment.square)[0]


def _resize(image, labels, long_side, square):
    height, width = image.shape[:2]
    factor = long_side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if square:
        size = (long_side, long_side)
    image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    if labels is not None:
        planes = np.atleast_3d(labels).transpose(2, 0, 1)
        planes = [Image.fromarray(plane).resize(size, Image.Resampling.NEAREST) for plane in planes]
        labels = np.stack(planes, -1) if labels.ndim == 3 else np.asarray(planes[0])
    return image, labels


def _place(image, labels, crop, fill, where):
    """Crop or pad the image to a square; `where`: its position, 0 to 1 down and right."""
    out = np.empty((crop, crop, 3), np.uint8)
    out[:] = np.round(np.asarray(fill) * 255).astype(np.uint8)
    out_labels = None
    if labels is not None:
        beside = 0 if labels.ndim == 3 else IGNORED
        out_labels = np.full((crop, crop, *labels.shape[2:]), beside, np.uint8)
    source, target = [], []
    for side, share in zip(image.shape[:2], where, strict=True):
        room = abs(side - crop)
        start = min(int(share * (room + 1)), room)
        length = min(side, crop)
        source.append(slice(start, start + length) if side > crop else slice(0, length))
        target.append(slice(0, length) if side > crop else slice(start, start + length))
    out[tuple(target)] = image[tuple(source)]
    if labels is not None:
        out_labels[tuple(target)] = labels[tuple(source)]
    return out, out_labels


def to_tensor(image: np.ndarray) -> Tensor:
    """[h, w, 3] to [3, h, w], with unchanged values in 0 to 255; networks take float in 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


class TaggedViews(Dataset):
    """Random views of training images with their tags: (uint8 [3, S, S], float [K]).

    With Gaussian noise a view is float32 on the same scale.
    """

    def __init__(
        self, rows: pd.DataFrame, root: Path, targets: np.ndarray, augment: TagAugment, fill
    ):
        self.paths, self.sizes = files_of(rows, root), sizes_of(rows)
        self.targets = torch.from_numpy(targets)
        self.augment, self.fill = augment, fill

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        row, *seeds = draw
        image = read_image(self.paths[row], self.sizes[row])
        rng = np.random.default_rng(seeds)
        view, _ = random_view(image, None, self.augment, self.fill, rng)
        return to_tensor(perturb(view, self.augment, rng)), self.targets[row]


class PlainViews(TaggedViews):
    """Plain views of the whole images, by row number."""

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        image = read_image(self.paths[row], self.sizes[row])
        view = plain_view(image, self.augment, self.fill)
        return to_tensor(view), self.targets[row]


class WholeImages(Dataset):
    """Batches of whole images of one size: (row numbers, uint8 [B, 3, H, W]).

    pixels: see `batches_of_like_size`.
    """

    def __init__(self, rows: pd.DataFrame, root: Path, batch_size: int, pixels: int | None = None):
        self.paths, self.sizes = files_of(rows, root), sizes_of(rows)
        self.batches = batches_of_like_size(self.sizes, batch_size, pixels)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> tuple[list[int], Tensor]:
        batch = self.batches[number]
        images = [read_image(self.paths[row], self.sizes[row]) for row in batch]
        return batch, torch.stack(list(map(to_tensor, images)))


def size_by_size(views: WholeImages, processes: int) -> Iterator[tuple[list[int], Tensor]]:
    """The batches of `views` in their order, read by a number of processes (0: this one).

    Between batches of different shapes freed memory is given back, so that the peak is that of the
    largest batch, whatever the number of sizes (see allocator.py).
    """
    shape = None
    for numbers, pixels in DataLoader(views, batch_size=None, num_workers=processes):
        if pixels.shape != shape:
            give_back()
            shape = pixels.shape
        yield numbers, pixels


def batches_of_like_size(
    sizes: Sequence[tuple[int, int]], batch_size: int, pixels: int | None = None
) -> list[list[int]]:
    """Row numbers in batches of equal (height, width), in a fixed order, most pixels first.

    pixels: a batch has no more than this, or one image; null: no limit.
    So the first batch shows whether the memory is enough for all.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for row, size in enumerate(sizes):
        groups.setdefault(tuple(size), []).append(row)
    batches = []
    for (height, width), rows in sorted(groups.items()):
        most = batch_size if pixels is None else min(batch_size, pixels // (height * width)) or 1
        batches += [rows[start : start + most] for start in range(0, len(rows), most)]
    return sorted(batches, key=lambda rows: -len(rows) * sizes[rows[0]][0] * sizes[rows[0]][1])
