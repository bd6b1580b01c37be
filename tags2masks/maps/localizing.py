"""Localizing many images with a map method, and the further arguments of some methods."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from tags2masks.config.base import Block
from tags2masks.config.map_base import Maps
from tags2masks.data.index import images_sha, multi_hot, rows_of
from tags2masks.data.randomness import image_seed
from tags2masks.data.views import WholeImages, size_by_size
from tags2masks.machine import AUTOCAST, Machine
from tags2masks.maps.batch import Batch, Localized
from tags2masks.nets.folding import fold_batch_norm
from tags2masks.progress import progress
from tags2masks.store import Entry

Method = Callable[[Batch, Block], Tensor | Localized]


class Material(NamedTuple):
    """The inputs of helpers.

    index: the rows of all images; root: the folder that their paths are relative to. upstream: the
    ids of upstream artifacts by stage; files: the files of some of them, by stage. part: the split
    and the shard that are localized.
    """

    index: pd.DataFrame
    root: Path
    classes: list[str]
    machine: Machine
    upstream: dict[str, str]
    files: dict[str, Path]
    part: tuple[str, int] = ("train", 0)


# Helpers are imported by name, so that an edit of one reruns only the methods that use it.


def training_images(material: Material) -> object:
    """The training images of all shards."""
    images = import_module("tags2masks.data.training_images")
    rows = rows_of(material.index, "train")
    threads = material.machine.loaders
    return images.TrainingImages(rows, material.root, material.classes, threads)


def prototypes_of(material: Material) -> object:
    """The prototypes of the classes, which must be made from these images."""
    if "prototypes" not in material.files:
        raise ValueError("the method needs --prototypes")
    store = import_module("tags2masks.prototypes.store")
    sha = images_sha(rows_of(material.index, "train"))
    artifact = material.upstream["prototypes"]
    return store.read_prototypes(material.files["prototypes"], artifact, sha, material.classes)


def masks_of(material: Material) -> object:
    """The masks that the classifier learned from, of a shard: by an image's name, None without."""
    if "masks" not in material.files:
        raise ValueError("the method needs --masks")
    store = import_module("tags2masks.store")
    sha = images_sha(rows_of(material.index, *material.part))
    shard = store.Shard(material.files["masks"], material.upstream["masks"], sha)
    return lambda name: shard.read(name)[0] if shard.holds(name) or not shard.partial else None


# The helpers that a config block may name; the method gets them as keyword arguments.
HELPERS = {"masks": masks_of, "prototypes": prototypes_of, "training": training_images}


def helpers_of(spec: Maps, material: Material) -> dict[str, object]:
    """The further keyword arguments of the spec's method."""
    return {name: HELPERS[name](material) for name in spec.helpers}


def ready(network: nn.Module, spec: Maps, machine: Machine) -> nn.Module:
    """A trained network, frozen, as the spec's method is fastest with it, on the machine's device.

    The batch norm of its backbone is folded, unless the method trains the network.
    """
    if spec.folds:
        fold_batch_norm(network.backbone)
    return network.to(machine.device).to(memory_format=torch.channels_last)


def localized(
    method: Method,
    spec: Maps,
    rows: pd.DataFrame,
    root: Path,
    classes: list[str],
    seed: int,
    machine: Machine,
) -> Iterator[Entry]:
    """Yield the store's entries: for every image the maps of its tags, float16 at 1/stride.

    method: from a batch and the spec to maps [B, K, h, w]; only tagged classes are used. If it
    returns a Localized, the entries also have its further arrays [k, n, h, w].
    """
    tagged = multi_hot(rows["tags"], classes) > 0
    images = rows["image"].tolist()
    dtype = AUTOCAST[spec.precision]
    views = WholeImages(rows, root, spec.batch_size, machine.pass_pixels)
    loader = size_by_size(views, machine.loaders)
    with progress(loader, "localize", total=len(rows)) as bar:
        for numbers, pixels in loader:
            batch = Batch(
                pixels.to(machine.device).float() / 255,
                torch.from_numpy(tagged[numbers]).to(machine.device),
                [image_seed(seed, images[number]) for number in numbers],
                [images[number] for number in numbers],
            )
            with torch.autocast(machine.device, dtype, enabled=dtype is not None):
                result = method(batch, spec)
            arrays = result if isinstance(result, Localized) else Localized(result)
            stored = {
                kind: array.to(torch.float16).cpu().numpy()
                for kind, array in arrays._asdict().items()
                if array is not None
            }
            for place, number in enumerate(numbers):
                present = tagged[number]
                attributes = {
                    "classes": [name for name, on in zip(classes, present, strict=True) if on],
                    "size": list(pixels.shape[-2:]),
                }
                scores, *further = (array[place][present] for array in stored.values())
                kinds = [kind for kind in stored if kind != "maps"]
                yield images[number], scores, attributes, dict(zip(kinds, further, strict=True))
            bar.update(len(numbers))
