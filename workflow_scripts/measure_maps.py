"""Measure maps against pixel masks at every background score."""

from tags2masks.data.tables import CRC, write_table
from tags2masks.files import written_whole
from tags2masks.metrics.measuring import (
    add_score,
    add_thresholds,
    arguments,
    maps_measured,
    work,
    write_empty,
)
from tags2masks.metrics.rows import COLUMNS, CURVE_COLUMNS
from tags2masks.program import add_paths, run


def main() -> None:
    """Read the arguments, measure, and write the figures and the curve."""
    parser = arguments(__doc__)
    add_paths(parser, "curve")
    add_score(parser)
    add_thresholds(parser)
    args = parser.parse_args()

    job = work(args)
    if not job.chunks:
        write_empty(args.metrics, (*COLUMNS, CRC))
        write_empty(args.curve, CURVE_COLUMNS)
        return
    rows, curve = maps_measured(args, job, "measure maps")
    with written_whole(args.curve) as beside:
        curve.to_csv(beside, index=False)
    write_table(args.metrics, rows, rows.columns)


if __name__ == "__main__":
    run(main)
