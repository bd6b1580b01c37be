"""Measure instances against the true ones."""

import argparse
import operator
from functools import partial
from pathlib import Path

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.data.tables import CRC, read_checked, write_table
from tags2masks.data.true_instances import TRUE
from tags2masks.metrics.instances import InstanceChunk, instance_quality, instance_rows
from tags2masks.metrics.measuring import CHUNK, write_empty
from tags2masks.metrics.rows import COLUMNS
from tags2masks.parallel import fold
from tags2masks.program import add_index, add_paths, run
from tags2masks.store import Shard


def main() -> None:
    """Read the arguments, measure, and write the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--id", required=True, help="of the artifact")
    arguments.add_argument("--split", required=True, choices=["train", "val"])
    add_paths(arguments, "classes", "metrics")
    add_index(arguments)
    arguments.add_argument("--shards", type=Path, nargs="+", required=True, help="in order")
    arguments.add_argument("--truths", type=Path, nargs="+", required=True, help="in order")
    arguments.add_argument("--left-out", type=Path, help="table of images that do not count")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--dask", default=None, help="address of a Dask scheduler")
    args = arguments.parse_args()

    index = read_index(*args.index)
    classes = read_classes(args.classes, index)
    learned: set[str] = set()
    if args.left_out:
        learned = set(read_checked(args.left_out, ("image",), "run again")["image"])
    chunks = []
    for number, (shard, truth) in enumerate(zip(args.shards, args.truths, strict=True)):
        rows = rows_of(index, args.split, number)
        sha = images_sha(rows)
        with Shard(truth, TRUE, sha) as true, Shard(shard, args.id, sha) as own:
            images = [
                image
                for image in rows["image"]
                if true.holds(image) and own.holds(image) and image not in learned
            ]
        parts = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
        chunks += [InstanceChunk(str(shard), args.id, sha, str(truth), part) for part in parts]
    images = sum(len(chunk.images) for chunk in chunks)
    print(f"{images} of {len(rows_of(index, args.split))} {args.split} images are measured")
    if not chunks:
        write_empty(args.metrics, (*COLUMNS, CRC))
        return
    quality = fold(
        partial(instance_quality, classes=len(classes)),
        chunks,
        operator.add,
        workers=args.threads,
        scheduler=args.dask,
        desc="measure instances",
        total=len(chunks),
    )
    rows = instance_rows(quality, classes, args.split, images)
    write_table(args.metrics, rows, rows.columns)


if __name__ == "__main__":
    run(main)
