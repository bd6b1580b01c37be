"""Write the masks of an artifact as palette PNG files, for people and other programs."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.export.masks import write_masks
from tags2masks.files import written_whole
from tags2masks.instance_store import KIND as INSTANCES
from tags2masks.program import add_formats, add_index, add_paths, run
from tags2masks.progress import progress
from tags2masks.store import Entry, Shard


def main() -> None:
    """Read the arguments and write one PNG per image, named by the image's id.

    With classes also these, and the formats that are asked for.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True, help="id of the masks")
    add_paths(parser, "output")
    add_index(parser)
    parser.add_argument("--masks", type=Path, nargs="+", required=True, help="shards, in order")
    parser.add_argument("--classes", type=Path, help="their names, for formats")
    parser.add_argument("--root", type=Path, help="folder of the images, for overlays")
    parser.add_argument("--title", help="of which experiment the masks are")
    add_formats(parser)
    args = parser.parse_args()

    index = read_index(*args.index)
    rows = rows_of(index, "train")
    classes = read_classes(args.classes, index) if args.classes else None
    overlays = args.root if args.overlays else None
    with written_whole(args.output) as folder:
        folder.mkdir()
        stored = _stored(rows, args.masks, args.id, with_instances=classes is not None)
        entries = progress(stored, "export", total=len(rows))
        count = write_masks(folder, entries, rows, classes, args.formats, overlays)
    if args.title:
        print(f"{args.output}: {count} masks of {args.title}")


def _stored(
    rows: pd.DataFrame, shards: list[Path], artifact: str, *, with_instances: bool
) -> Iterator[Entry]:
    """The masks of all images that have one, and their instances."""
    for number, path in enumerate(shards):
        part = rows[rows["shard"] == number]
        with Shard(path, artifact, images_sha(part)) as shard:
            for image in part["image"]:
                if shard.partial and not shard.holds(image):
                    continue
                kept = with_instances and shard.holds(image, INSTANCES)
                more = [{INSTANCES: shard.read_further(INSTANCES, image)}] if kept else []
                yield image, *shard.read(image), *more


if __name__ == "__main__":
    run(main)
