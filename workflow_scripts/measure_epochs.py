"""Measure maps of a classifier after each of its epochs, against pixel masks."""

import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.files import written_whole
from tags2masks.machine import Machine, prepare
from tags2masks.maps.localizing import localized, ready
from tags2masks.methods import method_block, method_module
from tags2masks.metrics.measuring import (
    add_score,
    add_thresholds,
    arguments,
    maps_measured,
    work,
    write_empty,
)
from tags2masks.metrics.rows import COLUMNS
from tags2masks.nets.epochs import kept_states
from tags2masks.nets.trained import load_epoch
from tags2masks.program import add_paths, run
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, localize and measure for each epoch, and write the figures."""
    parser = arguments(__doc__)
    add_paths(parser, "model", "spec", "image_root")
    parser.add_argument("--maps", type=json.loads, required=True, help="their recipe, as JSON")
    parser.add_argument("--epochs", type=int, required=True, help="of the classifier")
    add_score(parser)
    add_thresholds(parser)
    args = parser.parse_args()

    states = kept_states(args.model, args.epochs)
    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.maps["seed"])
    spec = method_block("maps", args.maps, args.free)
    method = method_module("maps", args.maps)
    index = read_index(*args.index)
    tables = []
    # The maps of one epoch at a time, in a folder that the workers of a cluster can read.
    with TemporaryDirectory(prefix=".epochs-", dir=args.metrics.parent) as folder:
        args.shards = [Path(folder) / name for name in args.shards]
        job = work(args)
        for epoch, state in enumerate(states, start=1) if job.chunks else ():
            network, classes = load_epoch("classifier", state, args.spec, args.maps["upstream"])
            localize = partial(method.localize, ready(network, spec, machine))
            for number, shard in enumerate(args.shards):
                rows = rows_of(index, "train", number, args.only)
                entries = localized(
                    localize, spec, rows, args.image_root, classes, args.maps["seed"], machine
                )
                sha = images_sha(rows_of(index, "train", number))
                write_shard(shard, {"id": args.id}, sha, entries)
            figures, _ = maps_measured(args, job, f"measure epoch {epoch}/{len(states)}")
            figures.insert(0, "epoch", epoch)
            tables.append(figures)
    if not tables:
        write_empty(args.metrics, ("epoch", *COLUMNS))
        return
    with written_whole(args.metrics) as beside:
        pd.concat(tables).to_csv(beside, index=False)


if __name__ == "__main__":
    run(main)
