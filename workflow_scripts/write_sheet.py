"""Write the contact sheet of masks: a page with all of them, in the order of doubt."""

import argparse
from pathlib import Path

from tags2masks.data.index import read_classes, read_index, rows_of
from tags2masks.files import written_whole
from tags2masks.program import add_index, add_paths, run
from tags2masks.report.sheet import write_sheet


def main() -> None:
    """Read the arguments and write the page; its pictures are in folders beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True, help="id of the masks")
    parser.add_argument("--title", required=True, help="the entries that lead to the masks")
    parser.add_argument("--size", type=int, required=True, help="pixels of a longer side")
    add_paths(parser, "classes", "output")
    add_index(parser)
    parser.add_argument("--doubts", type=Path, required=True, help="table of the images")
    parser.add_argument("--shares", type=Path, required=True, help="table of their classes")
    args = parser.parse_args()

    index = read_index(*args.index)
    classes = read_classes(args.classes, index)
    page = write_sheet(
        args.title, args.id, rows_of(index, "train"), classes, args.doubts, args.shares, args.size
    )
    with written_whole(args.output) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    run(main)
