"""Correlate the doubts on images with the IoU of their masks, where it was measured."""

import argparse

from tags2masks.files import written_whole
from tags2masks.program import add_paths, run
from tags2masks.report.plausibility import doubt_correlations
from tags2masks.report.summary import read_outline


def main() -> None:
    """Read the arguments and write a row per experiment, stage and part of the doubt."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_paths(parser, "outline", "results", "output")
    args = parser.parse_args()

    table = doubt_correlations(read_outline(args.outline)["experiments"], args.results)
    with written_whole(args.output) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
