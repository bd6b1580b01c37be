"""Localize the tagged classes of a shard's training images."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tags2masks.config.base import Block
from tags2masks.data.index import images_sha, multi_hot, read_index, rows_of
from tags2masks.data.views import WholeImages
from tags2masks.maps.batch import Batch, image_seed
from tags2masks.methods import method_block, method_module
from tags2masks.nets.trained import load_trained
from tags2masks.progress import progress
from tags2masks.store import write_shard
from tags2masks.training import Machine, prepare
from tags2masks.workflow.ids import artifact_id
from workflow_scripts.program import add_paths, parser, run

Method = Callable[[Batch, Block], Tensor]

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def localized(
    method: Method,
    spec: Block,
    rows: pd.DataFrame,
    root: Path,
    classes: list[str],
    seed: int,
    machine: Machine,
) -> Iterator[tuple[str, np.ndarray, dict]]:
    """The store's entries: of every image the maps of its tags, float16 at 1/stride.

    method: from a batch and the spec to maps [B, K, h, w] of which the tagged ones count.
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
            found = found.to(torch.float16).cpu().numpy()
            for number, scores in zip(numbers, found, strict=True):
                present = tagged[number]
                attributes = {
                    "classes": [name for name, on in zip(classes, present, strict=True) if on],
                    "size": list(pixels.shape[-2:]),
                }
                yield images[number], scores[present], attributes
            bar.update(len(numbers))


def prototypes_of(args: argparse.Namespace, classes: Sequence[str]) -> Sequence:
    """The classes' prototypes from --prototypes, checked to be made from these images."""
    if args.prototypes is None:
        raise ValueError("the method needs --prototypes")
    # By name: an edit there concerns the methods that import it, and no other's maps.
    store = import_module("tags2masks.prototypes.store")
    sha = images_sha(rows_of(read_index(args.index), "train"))
    artifact = args.recipe["upstream"]["prototypes"]
    return store.read_prototypes(args.prototypes, artifact, sha, classes)


# What a method may ask for, by name in its HELPERS, beside network, batch and spec; and how it is
# made from the arguments and the class names.
HELPERS: dict[str, Callable[[argparse.Namespace, Sequence[str]], object]] = {
    "prototypes": prototypes_of,
}


def main() -> None:
    """Read the arguments, localize, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "index", "model", "spec", "output")
    arguments.add_argument("--shard", type=int, required=True)
    arguments.add_argument("--prototypes", type=Path, help="for methods that need them")
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    seed = args.recipe["seed"]
    prepare(machine, seed)
    spec = method_block("maps", args.recipe, args.free)
    method = method_module("maps", args.recipe)
    network, classes = load_trained("classifiers", args.model, args.spec)
    network.to(machine.device).to(memory_format=torch.channels_last)
    rows = rows_of(read_index(args.index), "train", args.shard)
    helpers = {name: HELPERS[name](args, classes) for name in getattr(method, "HELPERS", ())}
    entries = localized(
        partial(method.localize, network, **helpers), spec, rows, args.root, classes, seed, machine
    )
    write_shard(args.output, artifact_id(args.recipe), images_sha(rows), entries)


if __name__ == "__main__":
    run(main)
