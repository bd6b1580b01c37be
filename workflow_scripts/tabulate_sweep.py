"""Make the table of figures of a sweep's experiments, with the values of the parameter."""

import argparse

from tags2masks.files import written_whole
from tags2masks.program import add_paths, run
from tags2masks.report.reading import read_metrics
from tags2masks.report.summary import read_outline, sweep_table


def main() -> None:
    """Read the arguments and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_paths(parser, "outline", "metrics", "output")
    args = parser.parse_args()

    outline = read_outline(args.outline)["experiments"]
    table = sweep_table(read_metrics(args.metrics), outline)
    with written_whole(args.output) as beside:
        table.to_csv(beside, index=False)


if __name__ == "__main__":
    run(main)
