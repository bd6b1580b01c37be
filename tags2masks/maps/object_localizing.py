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
from torch.utils.data import DataLoader, Dataset

from tags2masks.config.maps import Bbam
from tags2masks.data.boxed import Boxes, fitted, read_resized, scaled
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
Made = list[tuple[np.ndarray, int]]


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
        """The grids of a batch of so many objects, if they are kept."""
        try:
            with np.load(self.file(number), allow_pickle=False) as kept:
                if str(kept["fingerprint"]) != self.fingerprint:
                    return None
                numbers = kept["proposals"].tolist()
                return [(kept[f"grid-{at}"], numbers[at]) for at in range(count)]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
            print(f"{self.file(number)}: not used ({str(error).partition(chr(10))[0]})", flush=True)
            return None

    def write(self, number: int, made: Made) -> None:
        """Keep the grids of a batch."""
        buffer = io.BytesIO()
        grids = {f"grid-{at}": grid for at, (grid, _) in enumerate(made)}
        proposals = np.array([count for _, count in made])
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
    spec: Bbam,
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
    made = [kept.read(number, len(batch)) for number, batch in enumerate(batches.batches)]
    missing = [number for number, grids in enumerate(made) if grids is None]
    loader = DataLoader(
        torch.utils.data.Subset(batches, missing), batch_size=None, num_workers=machine.loaders
    )
    dtype = AUTOCAST[spec.precision]
    images = rows["image"].tolist()
    for number, pixels in progress(loader, "localize", total=len(missing), unit="batch"):
        places = {row: at for at, row in enumerate(batches.rows_of(number))}
        wanted = [
            _wanted(
                batches, boxes[row], places[row], row, n, image_seed(seed, f"{images[row]}:{n}")
            )
            for row, n in batches.batches[number]
        ]
        wanted = [one._replace(box=one.box.to(machine.device)) for one in wanted]
        with torch.autocast(machine.device, dtype, enabled=dtype is not None):
            found = method(pixels.to(machine.device).float() / 255, wanted)
        made[number] = [(grid.to(torch.float16).cpu().numpy(), count) for grid, count in found]
        kept.write(number, made[number])
    grids = {
        place: grid
        for batch, of_batch in zip(batches.batches, made, strict=True)
        for place, grid in zip(batch, of_batch, strict=True)
    }
    for row, own in enumerate(boxes):
        objects = [
            ObjectMap(int(number), tuple(corners), bool(difficult), count, grid)
            for number, corners, difficult, (grid, count) in zip(
                own.classes,
                own.corners.tolist(),
                own.difficult,
                (grids[row, n] for n in range(len(own.classes))),
                strict=True,
            )
        ]
        size, seen = batches.sizes[row], batches.seen[row]
        names, maps = class_maps(objects, classes, size, seen, spec.stride)
        attributes, further = stored_objects(objects, seen)
        yield images[row], maps, attributes | {"classes": names, "size": list(size)}, further


def _wanted(
    batches: ObjectBatches, own: Boxes, place: int, row: int, number: int, seed: int
) -> Wanted:
    edges = scaled(own.edges[number : number + 1], batches.sizes[row], batches.seen[row])
    return Wanted(place, torch.from_numpy(edges[0]), int(own.classes[number]), seed)


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
