"""Measure, against pixel masks, maps as they would be after each epoch of their classifier."""

import json
import operator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.methods import method_block, method_module
from tags2masks.metrics.quality import map_confusions
from tags2masks.metrics.rows import COLUMNS, map_rows
from tags2masks.metrics.sweep import thresholds
from tags2masks.nets.trained import load_epoch
from tags2masks.parallel import fold
from tags2masks.store import write_shard
from tags2masks.training import Machine, prepare, state_file
from workflow_scripts.localize import localized
from workflow_scripts.measured import arguments, work, write_empty
from workflow_scripts.program import add_paths, run


def main() -> None:
    """Read the arguments, localize and measure for each epoch, and write the figures."""
    parser = arguments(__doc__)
    add_paths(parser, "model", "spec", "image_root")
    parser.add_argument("--maps", type=json.loads, required=True, help="their recipe, as JSON")
    parser.add_argument("--epochs", type=int, required=True, help="of the classifier")
    parser.add_argument("--background-score", type=float, required=True)
    parser.add_argument("--thresholds", type=int, required=True, help="steps from 0 to 1")
    args = parser.parse_args()

    states = [state_file(args.model.parent / "state", n + 1) for n in range(args.epochs)]
    for state in states:
        if not state.exists():
            raise UserError(
                f"{state}: no such checkpoint; set keep_states: true in the classifier, delete "
                f"{args.model} and run again"
            )
    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.maps["seed"])
    spec = method_block("maps", args.maps, args.free)
    method = method_module("maps", args.maps)
    index = read_index(args.index)
    limits = thresholds(args.thresholds, args.background_score)
    tables = []
    with TemporaryDirectory() as folder:  # of one epoch's maps at a time
        args.shards = [Path(folder) / name for name in args.shards]
        chunks, table, classes, images = work(args)
        for epoch, state in enumerate(states, start=1) if chunks else ():
            network, _ = load_epoch("classifier", state, args.spec, args.maps["upstream"])
            network.to(machine.device)
            localize = partial(method.localize, network)
            for number, shard in enumerate(args.shards):
                rows = rows_of(index, "train", number, args.only)
                entries = localized(
                    localize, spec, rows, args.image_root, classes, args.maps["seed"], machine
                )
                sha = images_sha(rows_of(index, "train", number))
                write_shard(shard, {"id": args.id}, sha, entries)
            quality = fold(
                partial(
                    map_confusions,
                    table=table,
                    classes=classes,
                    limits=limits,
                    contours_at=args.background_score,
                ),
                chunks,
                operator.add,
                workers=args.threads,
                scheduler=args.dask,
                desc=f"measure epoch {epoch}/{len(states)}",
                total=len(chunks),
            )
            figures, _ = map_rows(
                quality, limits, args.background_score, classes, args.split, images
            )
            figures.insert(0, "epoch", epoch)
            tables.append(figures)
    if not tables:
        write_empty(args.metrics, ("epoch", *COLUMNS))
        return
    with written_whole(args.metrics) as beside:
        pd.concat(tables).to_csv(beside, index=False)


if __name__ == "__main__":
    run(main)
