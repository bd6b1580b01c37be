"""Write the masks of an artifact as palette PNG files, for people and other programs."""

import argparse
from pathlib import Path

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.files import written_whole
from tags2masks.given import path_inside
from tags2masks.palette import write_palette_png
from tags2masks.program import add_index, add_paths, run
from tags2masks.progress import progress
from tags2masks.store import Shard


def main() -> None:
    """Read the arguments and write one PNG per image, named by the image's id."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True, help="id of the masks")
    add_paths(parser, "output")
    add_index(parser)
    parser.add_argument("--masks", type=Path, nargs="+", required=True, help="shards, in order")
    args = parser.parse_args()

    rows = rows_of(read_index(*args.index), "train")
    with (
        written_whole(args.output) as folder,
        progress((), "export", total=len(rows)) as bar,
    ):
        folder.mkdir()
        for number, path in enumerate(args.masks):
            part = rows[rows["shard"] == number]
            with Shard(path, args.id, images_sha(part)) as shard:
                for image, mask, _ in shard.read_all(part["image"]):
                    write_palette_png(path_inside(folder, f"{image}.png"), mask)
                    bar.update()


if __name__ == "__main__":
    run(main)
