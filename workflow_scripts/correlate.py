"""Correlate the classes' properties with their IoU in every experiment that was measured."""

import argparse

import pandas as pd

from tags2masks.files import written_whole
from tags2masks.metrics.properties import CORRELATIONS, correlations
from tags2masks.program import add_paths, run
from tags2masks.report.reading import read_metrics, read_properties
from tags2masks.report.summary import usual_split


def main() -> None:
    """Read the arguments and write a row per experiment and property."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_paths(parser, "metrics", "results", "output")
    parser.add_argument("--datasets", nargs="+", required=True, help="those with pixel masks")
    args = parser.parse_args()

    metrics = usual_split(read_metrics(args.metrics))
    tables = [
        correlations(
            read_properties(args.results / name / "properties.csv"),
            metrics[metrics["dataset"] == name],
        )
        for name in args.datasets
    ]
    with written_whole(args.output) as beside:
        pd.concat(tables)[list(CORRELATIONS)].to_csv(beside, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
