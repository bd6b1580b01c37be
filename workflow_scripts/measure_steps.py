"""Measure the maps of every step of a method against pixel masks."""

import operator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from tags2masks.files import written_whole
from tags2masks.metrics import amplification
from tags2masks.metrics.measuring import add_score, arguments, measured_at, work, write_empty
from tags2masks.metrics.step_quality import step_quality
from tags2masks.metrics.steps import noise_proportion, step_miou
from tags2masks.parallel import fold
from tags2masks.program import add_paths, run

COLUMNS = ("step", "iou", "iou_so_far", "noise", "dr_amplification", "ndr_amplification")


def main() -> None:
    """Read the arguments, measure, and write a row per step, and one per bin of amplification."""
    parser = arguments(__doc__)
    add_score(parser)
    add_paths(parser, "amplification")
    args = parser.parse_args()

    chunks, table, classes, _ = work(args)
    if not chunks:
        write_empty(args.metrics, COLUMNS)
        write_empty(args.amplification, amplification.COLUMNS)
        return
    quality = fold(
        partial(step_quality, table=table, classes=classes, background_score=measured_at(args)),
        chunks,
        operator.add,
        workers=args.threads,
        scheduler=args.dask,
        desc="measure steps",
        total=len(chunks),
    )
    growth = quality.mean_growth()
    rows = pd.DataFrame(
        {
            "step": np.arange(len(quality.each)),
            "iou": step_miou(quality.each),
            "iou_so_far": step_miou(quality.so_far),
            "noise": noise_proportion(quality.each),
            "dr_amplification": growth[0],
            "ndr_amplification": growth[1],
        },
        columns=COLUMNS,
    )
    _write(rows, args.metrics)
    _write(amplification.table(quality.ratios), args.amplification)


def _write(rows: pd.DataFrame, path: Path) -> None:
    with written_whole(path) as beside:
        rows.to_csv(beside, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
