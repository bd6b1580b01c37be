"""Measure maps of objects, of any class, against pixel masks at every score."""

import operator
from functools import partial

import numpy as np

from tags2masks.data.tables import CRC, write_table
from tags2masks.files import written_whole
from tags2masks.metrics.curve import thresholds
from tags2masks.metrics.measuring import add_thresholds, arguments, work, write_empty
from tags2masks.metrics.objects import object_counts, object_rows
from tags2masks.metrics.rows import COLUMNS, CURVE_COLUMNS
from tags2masks.parallel import fold
from tags2masks.program import add_paths, run


def main() -> None:
    """Read the arguments, measure, and write the figures and the curve."""
    parser = arguments(__doc__)
    add_paths(parser, "curve")
    parser.add_argument("--score", type=float, required=True, help="the reported one")
    add_thresholds(parser)  # 0: the reported one alone
    args = parser.parse_args()

    job = work(args)
    if not job.chunks:
        write_empty(args.metrics, (*COLUMNS, CRC))
        write_empty(args.curve, CURVE_COLUMNS)
        return
    limits = np.array([args.score], np.float32)
    if args.thresholds:
        limits = thresholds(args.thresholds, args.score)
    counts = fold(
        partial(object_counts, table=job.table, classes=job.classes, limits=limits),
        job.chunks,
        operator.add,
        workers=args.threads,
        scheduler=args.dask,
        desc="measure objects",
        total=len(job.chunks),
    )
    rows, curve = object_rows(counts, limits, args.score, job.classes, job.images)
    with written_whole(args.curve) as beside:
        curve.to_csv(beside, index=False)
    write_table(args.metrics, rows, rows.columns)


if __name__ == "__main__":
    run(main)
