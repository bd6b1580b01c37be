"""Draw the masks of a shard, to lie over small photographs on a contact sheet."""

import argparse

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.files import written_whole
from tags2masks.program import add_index, add_paths, run
from tags2masks.progress import progress
from tags2masks.report.thumbnails import SUFFIXES, overlay
from tags2masks.store import Shard


def main() -> None:
    """Read the arguments and write a PNG file per mask, named by its number in the shard."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True, help="id of the masks")
    add_paths(parser, "masks", "output")
    add_index(parser)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="pixels of the longer side")
    args = parser.parse_args()

    rows = rows_of(read_index(*args.index), "train", args.shard)
    with (
        written_whole(args.output) as folder,
        Shard(args.masks, args.id, images_sha(rows)) as shard,
        progress(rows["image"], "draw masks", total=len(rows)) as images,
    ):
        folder.mkdir()
        for number, image in enumerate(images):
            if not shard.partial or shard.holds(image):
                data = overlay(shard.read(image)[0], args.size)
                (folder / f"{number}{SUFFIXES['masks']}").write_bytes(data)


if __name__ == "__main__":
    run(main)
