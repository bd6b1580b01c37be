"""Write the instances of an artifact in COCO's format and as pictures, for other programs."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tags2masks.coco_export import annotated, instance_picture
from tags2masks.data.index import images_sha, read_classes, read_index, rows_of, sizes_of
from tags2masks.files import written_whole
from tags2masks.given import path_inside
from tags2masks.instance_store import Instance, read_instances
from tags2masks.palette import write_palette_png
from tags2masks.program import add_index, add_paths, run
from tags2masks.store import Shard


def main() -> None:
    """Read the arguments, write one JSON file, and a palette PNG per image, named by its id."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True, help="id of the artifact")
    add_paths(parser, "classes", "output", "pictures")
    add_index(parser)
    parser.add_argument("--split", required=True, help="of the images")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="in order")
    args = parser.parse_args()

    index = read_index(*args.index)
    rows, names = rows_of(index, args.split), read_classes(args.classes, index)
    sizes = dict(zip(rows["image"], sizes_of(rows), strict=True))
    found = []
    with written_whole(args.pictures) as folder:
        folder.mkdir()
        for image, instances in _stored(rows, args.shards, args.id):
            picture = instance_picture(instances, sizes[image])
            write_palette_png(path_inside(folder, f"{image}.png"), picture)
            found.append((image, instances))
    with written_whole(args.output) as beside:
        beside.write_text(json.dumps(annotated(rows, names, found)), encoding="utf-8")


def _stored(
    rows: pd.DataFrame, shards: list[Path], artifact: str
) -> Iterator[tuple[str, list[Instance]]]:
    """The instances of all images that have a place in the shards."""
    for place, path in enumerate(shards):
        part = rows[rows["shard"] == place]
        with Shard(path, artifact, images_sha(part)) as shard:
            for image in part["image"]:
                if not shard.partial or shard.holds(image):
                    yield image, read_instances(shard, image)


if __name__ == "__main__":
    run(main)
