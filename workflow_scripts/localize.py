"""Localize the tagged classes of a shard's training images."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tags2masks.config.base import Block
from tags2masks.data.index import images_sha, multi_hot, read_index, rows_of
from tags2masks.data.randomness import image_seed
from tags2masks.data.views import WholeImages
from tags2masks.machine import AUTOCAST, Machine, prepare
from tags2masks.maps.batch import Batch, Localized
from tags2masks.methods import method_block, method_module
from tags2masks.nets.trained import load_trained
from tags2masks.progress import progress
from tags2masks.provenance import provenance
from tags2masks.store import Entry, write_shard
from workflow_scripts.program import add_paths, parser, run

Method = Callable[[Batch, Block], Tensor | Localized]


# Helpers are imported by name: an edit there concerns the methods that import them, no others.


def training_images(
    args: Namespace, index: pd.DataFrame, classes: list[str], machine: Machine
) -> object:
    """The training images of every shard."""
    images = import_module("tags2masks.data.training_images")
    return images.TrainingImages(rows_of(index, "train"), args.root, classes, machine.loaders)


def prototypes_of(
    args: Namespace, index: pd.DataFrame, classes: list[str], machine: Machine
) -> object:
    """The classes' prototypes from --prototypes, checked to be made from these images."""
    if args.prototypes is None:
        raise ValueError("the method needs --prototypes")
    store = import_module("tags2masks.prototypes.store")
    sha = images_sha(rows_of(index, "train"))
    artifact = args.recipe["upstream"]["prototypes"]
    return store.read_prototypes(args.prototypes, artifact, sha, classes)


# What a config block may name in its `helpers`: its method is given it by that name.
HELPERS = {"prototypes": prototypes_of, "training": training_images}


def localized(
    method: Method,
    spec: Block,
    rows: pd.DataFrame,
    root: Path,
    classes: list[str],
    seed: int,
    machine: Machine,
) -> Iterator[Entry]:
    """The store's entries: of every image the maps of its tags, float16 at 1/stride.

    method: from a batch and the spec to maps [B, K, h, w] of which the tagged ones count. Where
    it gives a Localized, the entries have its steps [k, T, h, w] too.
    """
    tagged = multi_hot(rows["tags"], classes) > 0
    images = rows["image"].tolist()
    dtype = AUTOCAST[spec.precision]
    loader = DataLoader(
        WholeImages(rows, root, spec.batch_size), batch_size=None, num_workers=machine.loaders
    )
    with progress(loader, "localize", total=len(rows)) as bar:
        for numbers, pixels in loader:
            batch = Batch(
                pixels.to(machine.device).float() / 255,
                torch.from_numpy(tagged[numbers]).to(machine.device),
                [image_seed(seed, images[number]) for number in numbers],
            )
            with torch.autocast(machine.device, dtype, enabled=dtype is not None):
                found = method(batch, spec)
            maps, *steps = found if isinstance(found, Localized) else (found,)
            arrays = [part.to(torch.float16).cpu().numpy() for part in (maps, *steps)]
            for number, scores, *of_steps in zip(numbers, *arrays, strict=True):
                present = tagged[number]
                attributes = {
                    "classes": [name for name, on in zip(classes, present, strict=True) if on],
                    "size": list(pixels.shape[-2:]),
                }
                further = {"steps": of_steps[0][present]} if of_steps else {}
                yield images[number], scores[present], attributes, further
            bar.update(len(numbers))


def main() -> None:
    """Read the arguments, localize, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "index", "model", "spec", "output")
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    arguments.add_argument("--prototypes", type=Path, help="for methods that need them")
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    seed = args.recipe["seed"]
    prepare(machine, seed)
    spec = method_block("maps", args.recipe, args.free)
    method = method_module("maps", args.recipe)
    network, classes = load_trained("classifier", args.model, args.spec, args.recipe["upstream"])
    network.to(machine.device).to(memory_format=torch.channels_last)
    index = read_index(args.index)
    helpers = {name: HELPERS[name](args, index, classes, machine) for name in spec.helpers}
    some = rows_of(index, args.split, args.shard, only=spec.images)
    localize = partial(method.localize, network, **helpers)
    entries = localized(localize, spec, some, args.root, classes, seed, machine)
    write_shard(
        args.output,
        provenance(args.recipe),
        images_sha(rows_of(index, args.split, args.shard)),
        entries,
    )


if __name__ == "__main__":
    run(main)
