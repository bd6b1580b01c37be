"""Measure what sets each class's images apart: size of its region, and what it is seen with."""

import operator
from functools import partial

import pandas as pd

from tags2masks.data.index import read_classes, read_index, rows_of
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.data.truth import read_truth
from tags2masks.files import written_whole
from tags2masks.metrics.measuring import CHUNK
from tags2masks.metrics.properties import class_properties, region_shares
from tags2masks.parallel import fold
from tags2masks.program import add_index, add_paths, parser, run


def main() -> None:
    """Read the arguments, read every mask, and write a row per split and class."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "truth", "output")
    add_index(arguments)
    args = arguments.parse_args()

    spec = dataset_block(args.recipe["dataset"])
    index = read_index(*args.index)
    classes = read_classes(args.classes, index)
    table = reader_module(spec.kind).mask_table(spec, classes)
    index = index.merge(read_truth(args.truth)[["image", "mask"]], on="image")
    tables = []
    for split in ("train", "val"):
        rows = rows_of(index, split)
        if rows.empty:
            continue
        sizes = zip(rows["height"].tolist(), rows["width"].tolist(), strict=True)
        paths = [str(args.root / mask) for mask in rows["mask"]]
        truths = list(zip(rows["image"], paths, sizes, strict=True))
        chunks = [truths[start : start + CHUNK] for start in range(0, len(truths), CHUNK)]
        shares = fold(
            partial(region_shares, table=table, count=len(classes)),
            chunks,
            operator.add,
            workers=args.threads,
            scheduler=args.dask,
            desc=f"measure classes of {split}",
            total=len(chunks),
        )
        tables.append(class_properties(shares, rows["tags"].tolist(), classes, split))
    with written_whole(args.output) as beside:
        pd.concat(tables).to_csv(beside, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
