"""Draw the photographs of a shard small, for contact sheets."""

import argparse
from functools import partial

from tags2masks.data.index import files_of, read_index, rows_of, sizes_of
from tags2masks.files import written_whole
from tags2masks.parallel import map_ordered
from tags2masks.program import add_index, add_paths, run
from tags2masks.report.thumbnails import SUFFIXES, photograph


def main() -> None:
    """Read the arguments and write a JPEG file per image, named by its number in the shard."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_paths(parser, "root", "output")
    add_index(parser)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="pixels of the longer side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dask", default=None, help="address of a Dask scheduler")
    args = parser.parse_args()

    rows = rows_of(read_index(*args.index), "train", args.shard)
    files = files_of(rows, args.root.resolve())
    pictures = map_ordered(
        partial(photograph, longest=args.size),
        zip(files, sizes_of(rows), strict=True),
        workers=args.threads,
        scheduler=args.dask,
        desc="thumbnails",
        total=len(rows),
    )
    with written_whole(args.output) as folder:
        folder.mkdir()
        for number, data in enumerate(pictures):
            (folder / f"{number}{SUFFIXES['images']}").write_bytes(data)


if __name__ == "__main__":
    run(main)
