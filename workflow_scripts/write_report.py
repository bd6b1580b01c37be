"""Write report.html from the figures, tables and shards of all experiments."""

import argparse
import json
from pathlib import Path

from tags2masks.files import written_whole
from tags2masks.program import add_paths, run
from tags2masks.report.page import write_page
from tags2masks.report.summary import read_outline


def main() -> None:
    """Read the arguments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--roots",
        type=json.loads,
        required=True,
        help="per data set its root, truth_root and spec, as JSON",
    )
    parser.add_argument("--examples", type=int, required=True, help="images per group")
    parser.add_argument(
        "--published", type=Path, nargs="*", default=[], help="tables of papers' figures"
    )
    parser.add_argument(
        "--asked", type=Path, nargs="*", default=[], help="tables of each epoch's, each step's maps"
    )
    add_paths(parser, "outline", "results", "output")
    args = parser.parse_args()

    outline = read_outline(args.outline)
    page = write_page(
        outline["experiments"],
        args.roots,
        args.results,
        args.examples,
        outline["report"],
        args.published,
        args.asked,
    )
    with written_whole(args.output) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    run(main)
