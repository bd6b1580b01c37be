"""Collect what was seen of the masks of all experiments without true masks."""

import argparse

from tags2masks.files import written_whole
from tags2masks.program import add_paths, run
from tags2masks.report.plausibility import tidy_plausibility
from tags2masks.report.summary import read_outline


def main() -> None:
    """Read the arguments and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_paths(parser, "outline", "results", "output")
    args = parser.parse_args()

    table = tidy_plausibility(read_outline(args.outline)["experiments"], args.results)
    with written_whole(args.output) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
