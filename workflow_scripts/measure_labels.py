"""Measure masks or predictions against pixel masks."""

import operator
from functools import partial

import pandas as pd

from tags2masks.data.tables import CRC, write_table
from tags2masks.files import written_whole
from tags2masks.metrics.measuring import arguments, work, write_empty
from tags2masks.metrics.quality import label_confusion
from tags2masks.metrics.rows import COLUMNS, label_rows
from tags2masks.parallel import fold
from tags2masks.program import add_paths, run


def main() -> None:
    """Read the arguments, measure, and write the figures and each image's mean IoU."""
    parser = arguments(__doc__)
    add_paths(parser, "images")
    args = parser.parse_args()

    chunks, table, classes, images = work(args)
    if not chunks:
        write_empty(args.metrics, (*COLUMNS, CRC))
        write_empty(args.images, ("image", "iou"))
        return
    measured = fold(
        partial(label_confusion, table=table, classes=classes),
        chunks,
        operator.add,
        workers=args.threads,
        scheduler=args.dask,
        desc="measure masks",
        total=len(chunks),
    )
    with written_whole(args.images) as beside:
        pd.DataFrame(measured.images, columns=["image", "iou"]).to_csv(beside, index=False)
    rows = label_rows(measured, classes, args.split, images)
    write_table(args.metrics, rows, rows.columns)


if __name__ == "__main__":
    run(main)
