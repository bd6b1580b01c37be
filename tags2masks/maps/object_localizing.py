"""Localizing the objects of many images, a few at a time, with what is made kept on disk."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from tags2masks.config.object_maps import ObjectMaps
from tags2masks.data.boxed import fitted, read_resized, scaled
from tags2masks.data.boxes import Boxes
from tags2masks.data.index import files_of, sizes_of
from tags2masks.data.randomness import image_seed
from tags2masks.data.views import batches_of_like_size, to_tensor
from tags2masks.files import remove, written_whole
from tags2masks.machine import AUTOCAST, Machine
from tags2masks.maps.objects import Wanted, upsampled
from tags2masks.maps.scales import stored_size
from tags2masks.nets.resize import resized
from tags2masks.object_maps import ObjectMap, stored_objects
from tags2masks.progress import progress
from tags2masks.store import Entry

# From images [B, 3, H, W] in 0 to 1 and their objects to grids [h, w] and numbers of proposals.
Method = Callable[[Tensor, Sequence[Wanted]], list[tuple[Tensor, int]]]
# Numbers of proposals and grids of the objects of a batch.
Made = list[tuple[int, np.ndarray]]


@dataclass(frozen=True)
class Kept:
    """What is made of a shard, a file per batch of objects, so that a killed run loses one batch.

    fingerprint: of all that determines it; files of another one are not used.
    """

    folder: Path
    fingerprint: str

    def file(self, number: int) -> Path:
        """The file of a batch."""
        return self.folder / f"objects-{number:06d}.npz"

    def read(self, number: int, count: int) -> Made | None:
        """What is made of a batch of so many objects, if it is kept."""
        try:
            with np.load(self.file(number), allow_pickle=False) as kept:
                if str(kept["fingerprint"]) != self.fingerprint:
                    return None
                numbers = kept["proposals"].tolist()
                return [(numbers[at], kept[f"grid-{at}"]) for at in range(count)]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
            print(f"{self.file(number)}: not used ({str(error).partition(chr(10))[0]})", flush=True)
            return None

    def write(self, number: int, made: Made) -> None:
        """Keep what is made of a batch."""
        buffer = io.BytesIO()
        grids = {f"grid-{at}": grid for at, (_, grid) in enumerate(made)}
        proposals = np.array([count for count, _ in made])
        np.savez(buffer, fingerprint=np.array(self.fingerprint), proposals=proposals, **grids)
        with written_whole(self.file(number)) as beside:
            beside.write_bytes(buffer.getbuffer())

    def end(self) -> None:
        """Remove the files, when the shard is written."""
        for path in self.folder.glob("objects-*.npz"):
            remove(path)
        for folder in (self.folder, self.folder.parent):
            with suppress(OSError):
                folder.rmdir()


def fingerprint(*parts: str) -> str:
    """A digest of all that determines what is kept."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


class ObjectBatches(Dataset):
    """Batches of objects of images of one size: (objects, images uint8 [B, 3, h, w]).

    An object is (row of its image, its number in the image). boxes: of each of the rows.
    """

    def __init__(
        self, rows: pd.DataFrame, root: Path, boxes: Sequence[Boxes], sides: tuple[int, int], count
    ):
        self.paths, self.sizes = files_of(rows, root), sizes_of(rows)
        self.seen = [fitted(size, *sides) for size in self.sizes]
        objects = [(row, n) for row, own in enumerate(boxes) for n in range(len(own.classes))]
        of_objects = [self.seen[row] for row, _ in objects]
        self.batches = [
            [objects[at] for at in places] for places in batches_of_like_size(of_objects, count)
        ]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> tuple[int, Tensor]:
        images = [
            read_resized(self.paths[row], self.sizes[row], self.seen[row])
            for row in self.rows_of(number)
        ]
        return number, torch.stack(list(map(to_tensor, images)))

    def rows_of(self, number: int) -> list[int]:
        """The rows of a batch's images, each once."""
        return list(dict.fromkeys(row for row, _ in self.batches[number]))


def localized_objects(
    method: Method,
    spec: ObjectMaps,
    rows: pd.DataFrame,
    root: Path,
    boxes: Sequence[Boxes],
    classes: Sequence[str],
    sides: tuple[int, int],
    seed: int,
    machine: Machine,
    kept: Kept,
) -> Iterator[Entry]:
    """Yield the store's entries: for every image the maps of its boxes' classes and its objects.

    boxes: of each of the rows; sides: the short side of the images that the detector sees, and
    their longest.
    """
    batches = ObjectBatches(rows, root, boxes, sides, spec.objects_per_pass)
    seeds = [image_seed(seed, image) for image in rows["image"]]
    grids = _grids(method, spec, batches, boxes, seeds, machine, kept)
    for row, (image, own) in enumerate(zip(rows["image"], boxes, strict=True)):
        objects = [
            ObjectMap(int(own.classes[n]), tuple(own.corners[n].tolist()), own.difficult[n], *made)
            for n, made in enumerate(grids[row, n] for n in range(len(own.classes)))
        ]
        size, seen = batches.sizes[row], batches.seen[row]
        names, maps = class_maps(objects, classes, size, seen, spec.stride)
        attributes, further = stored_objects(objects, seen)
        yield image, maps, attributes | {"classes": names, "size": list(size)}, further


def _grids(
    method: Method,
    spec: ObjectMaps,
    batches: ObjectBatches,
    boxes: Sequence[Boxes],
    seeds: Sequence[int],
    machine: Machine,
    kept: Kept,
) -> dict[tuple[int, int], tuple[int, np.ndarray]]:
    """The number of proposals and the grid, float16, of each object; seeds: of each row."""
    made = {
        number: found
        for number, batch in enumerate(batches.batches)
        if (found := kept.read(number, len(batch))) is not None
    }
    missing = [number for number in range(len(batches)) if number not in made]
    loader = DataLoader(Subset(batches, missing), batch_size=None, num_workers=machine.loaders)
    dtype = AUTOCAST[spec.precision]
    for number, pixels in progress(loader, "localize", total=len(missing), unit="batch"):
        wanted = wanted_objects(batches, number, boxes, seeds, machine.device)
        with torch.autocast(machine.device, dtype, enabled=dtype is not None):
            found = method(pixels.to(machine.device).float() / 255, wanted)
        made[number] = [(count, grid.to(torch.float16).cpu().numpy()) for grid, count in found]
        kept.write(number, made[number])
    return {
        place: grid
        for number, batch in enumerate(batches.batches)
        for place, grid in zip(batch, made[number], strict=True)
    }


def wanted_objects(
    batches: ObjectBatches,
    number: int,
    boxes: Sequence[Boxes],
    seeds: Sequence[int],
    device: str,
) -> list[Wanted]:
    """The objects of a batch; boxes, seeds: of each row."""
    images, wanted = batches.rows_of(number), []
    for row, n in batches.batches[number]:
        edges = scaled(boxes[row].edges[n], batches.sizes[row], batches.seen[row])
        box = torch.from_numpy(edges).to(device)
        # Seeds of an image's objects differ, and do not depend on other images.
        wanted.append(Wanted(images.index(row), box, int(boxes[row].classes[n]), seeds[row] ^ n))
    return wanted


def class_maps(
    objects: Sequence[ObjectMap],
    classes: Sequence[str],
    size: tuple[int, int],
    seen: tuple[int, int],
    stride: int,
) -> tuple[list[str], np.ndarray]:
    """The classes of an image's boxes, in order, and their maps: the maximum over their objects.

    size: the image's; seen: as the detector saw it. Returns float16 [K, ⌈H/stride⌉, ⌈W/stride⌉].
    """
    present = sorted({one.class_id for one in objects})
    maps = np.zeros((len(present), *stored_size(size, stride)), np.float16)
    for one in objects:
        mask = upsampled(torch.from_numpy(one.grid).float(), seen)
        stored = resized(mask[None, None], maps.shape[1:])[0, 0].to(torch.float16).numpy()
        own = maps[present.index(one.class_id)]
        np.maximum(own, stored, out=own)
    return [classes[number - 1] for number in present], maps
