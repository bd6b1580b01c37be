"""Look at masks or predictions without true masks: by tags, sizes, and other masks."""

import argparse
from functools import partial
from itertools import chain
from pathlib import Path

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.data.tables import write_table
from tags2masks.errors import UserError
from tags2masks.parallel import map_ordered
from tags2masks.plausibility import (
    DOUBTS,
    PLAUSIBILITY,
    SHARES,
    Chunk,
    Masks,
    class_table,
    doubt_table,
    measure,
    share_table,
)
from tags2masks.program import add_index, add_paths, run

CHUNK = 32  # images that one worker looks at at a time


def main() -> None:
    """Read the arguments, and write the figures of each class, image, and class of an image."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--id", required=True, help="id of the artifact")
    options.add_argument("--split", required=True, choices=["train", "val"])
    add_paths(options, "classes", "plausibility", "doubts", "shares")
    add_index(options)
    options.add_argument("--shards", type=Path, nargs="+", required=True, help="in order")
    options.add_argument(
        "--others", nargs="*", default=[], help="ids of masks to compare with, in folders beside"
    )
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--dask", default=None, help="address of a Dask scheduler")
    args = options.parse_args()

    index = read_index(*args.index)
    classes = read_classes(args.classes, index)
    rows = rows_of(index, args.split)
    if rows.empty:
        raise UserError(
            f"{args.index[0]}: split '{args.split}' has no images; tag some with it, or set "
            "evaluate_on: train in the data set"
        )
    chunks = []
    for number, shard in enumerate(args.shards):
        part = rows_of(index, args.split, number)
        # Not named one by one: those of hundreds of shards are more than a command may hold.
        beside = shard.parent.parent
        others = [Masks(str(beside / name / shard.name), name) for name in args.others]
        images = part["image"].tolist()
        chunks += [
            Chunk(
                Masks(str(shard), args.id), others, images_sha(part), images[start : start + CHUNK]
            )
            for start in range(0, len(images), CHUNK)
        ]
    figures = map_ordered(
        partial(measure, count=len(classes)),
        chunks,
        workers=args.threads,
        scheduler=args.dask,
        desc="look at masks",
        total=len(chunks),
        unit="chunk",
    )
    measured = list(chain.from_iterable(figures))
    shares = share_table(measured, dict(zip(rows["image"], rows["tags"], strict=True)), classes)
    write_table(args.shares, shares, SHARES)
    write_table(args.doubts, doubt_table(measured, shares), DOUBTS)
    write_table(args.plausibility, class_table(measured, shares, classes, args.split), PLAUSIBILITY)


if __name__ == "__main__":
    run(main)
