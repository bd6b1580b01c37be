"""Localize the tagged classes of a shard's training images."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from tags2masks.data.index import images_sha, multi_hot, read_index, rows_of
from tags2masks.data.views import WholeImages
from tags2masks.methods import method_block, method_module
from tags2masks.nets.trained import load_trained
from tags2masks.progress import progress
from tags2masks.store import write_shard
from tags2masks.training import Machine, prepare
from tags2masks.workflow.ids import artifact_id
from workflow_scripts.program import add_paths, parser, run

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def localized(
    network, method, spec, rows: pd.DataFrame, root, classes: list[str], machine: Machine
) -> Iterator[tuple[str, np.ndarray, dict]]:
    """The store's entries: of every image the maps of its tags, float16 at 1/stride."""
    tagged = multi_hot(rows["tags"], classes) > 0
    images = rows["image"].tolist()
    dtype = AUTOCAST[spec.precision]
    loader = DataLoader(
        WholeImages(rows, root, spec.batch_size), batch_size=None, num_workers=machine.loaders
    )
    with progress(loader, "localize", total=len(rows)) as bar:
        for numbers, batch in loader:
            with torch.autocast(machine.device, dtype, enabled=dtype is not None):
                found = method.localize(network, batch.to(machine.device).float() / 255, spec)
            found = found.to(torch.float16).cpu().numpy()
            for number, scores in zip(numbers, found, strict=True):
                present = tagged[number]
                attributes = {
                    "classes": [name for name, on in zip(classes, present, strict=True) if on],
                    "size": list(batch.shape[-2:]),
                }
                yield images[number], scores[present], attributes
            bar.update(len(numbers))


def main() -> None:
    """Read the arguments, localize, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "index", "model", "spec", "output")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = method_block("maps", args.recipe, args.free)
    method = method_module("maps", args.recipe)
    network, classes = load_trained("classifiers", args.model, args.spec)
    network.to(machine.device).to(memory_format=torch.channels_last)
    rows = rows_of(read_index(args.index), "train", args.shard)
    entries = localized(network, method, spec, rows, args.root, classes, machine)
    write_shard(args.output, artifact_id(args.recipe), images_sha(rows), entries)


if __name__ == "__main__":
    run(main)
