"""Choose the background score of maps without masks."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of, spaced
from tags2masks.data.views import WholeImages, size_by_size
from tags2masks.errors import UserError
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block, method_module
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.progress import progress
from tags2masks.provenance import provenance, write_record
from tags2masks.scores.doubts import doubts, shares
from tags2masks.store import Shard


def main() -> None:
    """Read the arguments, look at a sample of the training images, and write the score."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "model", "spec", "output")
    arguments.add_argument("--maps", type=Path, nargs="+", required=True, help="all shards")
    add_index(arguments)
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = method_block("scores", args.recipe, args.free)
    upstream = args.recipe["upstream"]
    network, _ = load_trained("classifier", args.model, args.spec, upstream)
    network.to(machine.device).to(memory_format=torch.channels_last)
    index = read_index(*args.index)
    rows, classes = rows_of(index, "train"), read_classes(args.classes, index)
    tagged = rows[rows["tags"].map(bool)]
    if tagged.empty:
        raise UserError("no training image has a tag: no background score can be chosen")
    maps, sample = read_maps(args.maps, upstream["maps"], rows, tagged, spec.images)

    method, measured = method_module("scores", args.recipe), {}
    loader = size_by_size(WholeImages(sample, args.root, spec.batch_size), machine.loaders)
    with progress(loader, args.recipe["method"], total=len(sample)) as bar, torch.inference_mode():
        for numbers, images in loader:
            of_batch = method.measure(network, images, [maps[number][1] for number in numbers])
            measured |= zip(numbers, of_batch, strict=True)
            bar.update(len(numbers))
    chosen = method.choose([measured[number] for number in range(len(sample))])
    score = chosen["background_score"]
    covered = [shares(present, stored, score) for present, stored in maps]
    warnings = method.doubts_of_choice(chosen, len(sample))
    warnings += doubts(covered, tagged["tags"].tolist(), classes)
    about = {"images": len(sample), "warnings": [list(warning) for warning in warnings]}
    write_record(args.output, provenance(args.recipe) | chosen | about)
    print(f"background score {score:g}, chosen from {len(sample)} images", flush=True)


def read_maps(
    files: list[Path], artifact_id: str, rows: pd.DataFrame, tagged: pd.DataFrame, count: int
) -> tuple[list[tuple[list[str], np.ndarray]], pd.DataFrame]:
    """The classes and the maps, float16 [K, h, w], of `count` tagged images, and their rows.

    The images are evenly spaced among those that have maps.
    """
    with ExitStack() as stack:
        shards = {}
        for file in files:
            number = int(file.name.partition(".")[0])
            sha = images_sha(rows_of(rows, "train", number))
            shards[number] = stack.enter_context(Shard(file, artifact_id, sha))
        located = tagged[
            [shards[n].holds(i) for n, i in zip(tagged["shard"], tagged["image"], strict=True)]
        ]
        names = set(spaced(located["image"].tolist(), count))
        sample = located[located["image"].isin(names)].reset_index(drop=True)
        read = (shards[n].read(i) for n, i in zip(sample["shard"], sample["image"], strict=True))
        return [(attributes["classes"], maps) for maps, attributes in read], sample


if __name__ == "__main__":
    run(main)
