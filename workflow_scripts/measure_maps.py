"""Measure maps against pixel masks at every background score."""

import operator
from functools import partial

from tags2masks.files import written_whole
from tags2masks.metrics.quality import map_confusions
from tags2masks.metrics.rows import COLUMNS, CURVE_COLUMNS, map_rows
from tags2masks.metrics.sweep import thresholds
from tags2masks.parallel import fold
from workflow_scripts.measured import arguments, work, write_empty
from workflow_scripts.program import add_paths, run


def main() -> None:
    """Read the arguments, measure, and write the figures and the curve."""
    parser = arguments(__doc__)
    add_paths(parser, "curve")
    parser.add_argument("--background-score", type=float, required=True)
    parser.add_argument("--thresholds", type=int, required=True, help="steps from 0 to 1")
    args = parser.parse_args()

    chunks, table, classes, images = work(args)
    limits = thresholds(args.thresholds, args.background_score)
    if not chunks:
        write_empty(args.metrics, COLUMNS)
        write_empty(args.curve, CURVE_COLUMNS)
        return
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
        desc="measure maps",
        total=len(chunks),
    )
    rows, curve = map_rows(quality, limits, args.background_score, classes, args.split, images)
    with written_whole(args.curve) as beside:
        curve.to_csv(beside, index=False)
    with written_whole(args.metrics) as beside:
        rows.to_csv(beside, index=False)


if __name__ == "__main__":
    run(main)
