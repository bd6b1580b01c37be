"""Measure properties of each class's images: size of its region, and co-occurring classes.

Also compares tags with masks, and writes warnings if they differ.
"""

import operator
from functools import partial

import numpy as np
import pandas as pd

from tags2masks.data.index import multi_hot, read_classes, read_index, rows_of
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.data.truth import read_truth
from tags2masks.data.warnings import write_warnings
from tags2masks.files import written_whole
from tags2masks.metrics.agreement import agreement_warnings, unseen_warnings
from tags2masks.metrics.measuring import CHUNK
from tags2masks.metrics.properties import class_properties, region_counts
from tags2masks.parallel import fold
from tags2masks.program import add_index, add_paths, parser, run


def main() -> None:
    """Read the arguments, read every mask, and write a row per split and class."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "truth", "output", "warnings")
    add_index(arguments)
    args = arguments.parse_args()

    spec = dataset_block(args.recipe["dataset"])
    index = read_index(*args.index)
    classes = read_classes(args.classes, index)
    table = reader_module(spec.kind).mask_table(spec, classes)
    index = index.merge(read_truth(args.truth)[["image", "mask"]], on="image")
    tables, warned = [], []
    together = np.zeros((len(classes), len(classes)), int)
    shown, tagged = np.zeros((2, len(classes)), int)
    for split in ("train", "val"):
        rows = rows_of(index, split)
        if rows.empty:
            continue
        sizes = zip(rows["height"].tolist(), rows["width"].tolist(), strict=True)
        paths = [str(args.root / mask) for mask in rows["mask"]]
        truths = list(zip(paths, sizes, rows["tags"], strict=True))
        chunks = [truths[start : start + CHUNK] for start in range(0, len(truths), CHUNK)]
        counts = fold(
            partial(region_counts, table=table, classes=classes),
            chunks,
            operator.add,
            workers=args.threads,
            scheduler=args.dask,
            desc=f"measure classes of {split}",
            total=len(chunks),
        )
        tables.append(class_properties(counts[:2], rows["tags"].tolist(), classes, split))
        warned += unseen_warnings(counts[1, 1:], classes, split)
        shown += counts[1, 1:].astype(int)
        together += counts[2:, 1:].astype(int)
        tagged += multi_hot(rows["tags"], classes).sum(axis=0, dtype=int)
    warned = agreement_warnings(together, shown, tagged, classes) + warned
    with written_whole(args.output) as beside:
        pd.concat(tables).to_csv(beside, index=False, float_format="%.6g")
    write_warnings(args.warnings, warned)


if __name__ == "__main__":
    run(main)
