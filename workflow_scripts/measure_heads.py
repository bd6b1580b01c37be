"""Measure where each head of a detector looks, and what the other loses while one is kept."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tags2masks.analyses import heads
from tags2masks.analyses.heads import Kept, high_pixels, keep_head, loss_rows
from tags2masks.config.analyses import Heads
from tags2masks.data.boxes import Boxes, boxes_of, some_with_boxes
from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.data.randomness import image_seed
from tags2masks.data.true_instances import TRUE
from tags2masks.files import written_whole
from tags2masks.instance_store import Instance, read_instances
from tags2masks.machine import AUTOCAST, Machine, prepare
from tags2masks.maps.localizing import ready
from tags2masks.maps.object_localizing import ObjectBatches, wanted_objects
from tags2masks.methods import method_block
from tags2masks.metrics import head_places
from tags2masks.metrics.head_places import BINS, HEADS, place_counts, place_rows, true_object
from tags2masks.nets.checkpoint import read_spec
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_analysis, add_index, add_paths, parser, run
from tags2masks.progress import progress
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
    seed = args.recipe["seed"]
    prepare(machine, seed)
    wanted = Heads.model_validate(args.analysis)
    spec = method_block("maps", args.recipe, args.free)
    network, classes = load_trained("detector", args.model, args.spec, args.recipe["upstream"])
    network = ready(network, spec, machine)
    detector = method_block("detectors", read_spec(args.spec)["recipe"])
    train = rows_of(read_index(*args.index), "train")
    boxes = boxes_of(args.boxes, train, classes, spec.difficult == "keep")
    rows, own = some_with_boxes(train, boxes, wanted.images, args.boxes)
    truths = _true_instances(train, rows["image"].tolist(), args.instances)
    sides = (spec.short_side or detector.test_short_side, detector.augment.longest)
    batches = ObjectBatches(rows, args.root, own, sides, spec.objects_per_pass)
    seeds = [image_seed(seed, image) for image in rows["image"]]
    losses, places = [], []
    for head in HEADS:
        kept, counts = [], np.zeros((BINS, BINS), np.int64)
        for number in progress(range(len(batches)), f"keep the {head} head"):
            images = batches[number][1].to(machine.device).float() / 255
            objects = wanted_objects(batches, number, own, seeds, machine.device)
            dtype = AUTOCAST[spec.precision]
            with torch.autocast(machine.device, dtype, enabled=dtype is not None):
                kept.append(keep_head(network, images, objects, spec, head))
            for grid, truth in _pairs(kept[-1], batches.batches[number], own, truths):
                mask = truth.mask
                counts += place_counts(mask, high_pixels(grid, mask.shape, wanted.above))
        losses += loss_rows(head, kept)
        places += place_rows(head, counts)
    _write(losses, heads.COLUMNS, args.losses)
    _write(places, head_places.COLUMNS, args.places)


def _write(rows: list[tuple], columns: tuple[str, ...], path: Path) -> None:
    with written_whole(path) as beside:
        table = pd.DataFrame(rows, columns=list(columns))
        table.to_csv(beside, index=False, float_format="%.6g")


def _true_instances(
    train: pd.DataFrame, images: list[str], paths: list[Path]
) -> list[list[Instance]]:
    """The true instances of each image, none where they are not known; paths: shards, in order."""
    found: dict[str, list[Instance]] = {}
    for number, path in enumerate(paths):
        with Shard(path, TRUE, images_sha(rows_of(train, "train", number))) as shard:
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
