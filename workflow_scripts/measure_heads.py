"""Measure where each head of a detector looks, and what the other loses while one is kept."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tags2masks.analyses import heads
from tags2masks.analyses.heads import Kept, high_pixels, keep_head, loss_rows
from tags2masks.analyses.objects import some_objects
from tags2masks.config.analyses import Heads
from tags2masks.data.boxes import Boxes
from tags2masks.data.index import images_sha
from tags2masks.data.true_instances import TRUE
from tags2masks.files import written_whole
from tags2masks.instance_store import Instance, read_instances
from tags2masks.machine import AUTOCAST, Machine, prepare
from tags2masks.metrics import head_places
from tags2masks.metrics.head_places import BINS, HEADS, place_counts, place_rows, true_object
from tags2masks.program import add_analysis, add_index, add_paths, parser, run
from tags2masks.store import Shard


def main() -> None:
    """Read the arguments, measure, and write a row per head and step, and per head and place."""
    options = parser(__doc__)
    add_paths(options, "root", "model", "spec", "boxes", "losses", "places")
    add_index(options)
    add_analysis(options)
    options.add_argument("--instances", type=Path, nargs="+", required=True, help="true ones")
    args = options.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    asked = Heads.model_validate(args.analysis)
    objects = some_objects(args, machine, asked.split, asked.images)
    truths = _true_instances(objects.index, objects.rows["image"].tolist(), args.instances)
    dtype = AUTOCAST[objects.spec.precision]
    losses, places = [], []
    for head in HEADS:
        kept, counts = [], np.zeros((BINS, BINS), np.int64)
        for of, images, batch in objects.each_batch(f"keep the {head} head"):
            with torch.autocast(machine.device, dtype, enabled=dtype is not None):
                kept.append(keep_head(objects.network, images, batch, objects.spec, head))
            for grid, truth in _pairs(kept[-1], of, objects.boxes, truths):
                mask = truth.mask
                counts += place_counts(mask, high_pixels(grid, mask.shape, asked.above))
        losses += loss_rows(head, kept)
        places += place_rows(head, counts)
    _write(losses, heads.COLUMNS, args.losses)
    _write(places, head_places.COLUMNS, args.places)


def _write(rows: list[tuple], columns: tuple[str, ...], path: Path) -> None:
    with written_whole(path) as beside:
        table = pd.DataFrame(rows, columns=list(columns))
        table.to_csv(beside, index=False, float_format="%.6g")


def _true_instances(
    rows: pd.DataFrame, images: list[str], paths: list[Path]
) -> list[list[Instance]]:
    """The true instances of each image, none where they are not known; paths: shards, in order.

    rows: of all images of the split.
    """
    found: dict[str, list[Instance]] = {}
    for number, path in enumerate(paths):
        with Shard(path, TRUE, images_sha(rows[rows["shard"] == number])) as shard:
            found |= {i: read_instances(shard, i) for i in images if shard.holds(i)}
    return [found.get(image, []) for image in images]


def _pairs(
    kept: Kept, places: list[tuple[int, int]], boxes: list[Boxes], truths: list[list[Instance]]
) -> Iterator[tuple[torch.Tensor, Instance]]:
    """The grids of a batch with their true objects, where both are known.

    places: of each grid the row of its image and the number of its box.
    """
    for grid, (row, number) in zip(kept.grids, places, strict=True):
        corners, class_id = boxes[row].corners[number], int(boxes[row].classes[number])
        truth = true_object(tuple(corners.tolist()), class_id, truths[row])
        if grid is not None and truth is not None:
            yield grid, truth


if __name__ == "__main__":
    run(main)
