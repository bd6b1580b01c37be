"""Write the instances of an artifact as a file in COCO's format, for other programs."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pycocotools import mask as coco_mask

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.files import written_whole
from tags2masks.instance_store import read_instances
from tags2masks.program import add_index, add_paths, run
from tags2masks.store import Shard


def main() -> None:
    """Read the arguments and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True, help="id of the artifact")
    add_paths(parser, "classes", "output")
    add_index(parser)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="in order")
    args = parser.parse_args()

    index = read_index(*args.index)
    rows, names = rows_of(index, "train"), read_classes(args.classes, index)
    written = {
        "images": [
            {"id": number, "file_name": row["path"], "width": row["width"], "height": row["height"]}
            for number, row in enumerate(rows.to_dict("records"), start=1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        "annotations": [
            {"id": number} | each
            for number, each in enumerate(annotations(rows, args.shards, args.id), start=1)
        ],
    }
    with written_whole(args.output) as beside:
        beside.write_text(json.dumps(written), encoding="utf-8")


def annotations(rows: pd.DataFrame, shards: list[Path], artifact: str) -> Iterator[dict]:
    """The annotations of all images but for their ids; images are numbered from 1 as in rows.

    bbox: x, y, width and height of the instance's box; segmentation: compressed RLE; score: 0 to 1.
    """
    numbers = {image: number for number, image in enumerate(rows["image"], start=1)}
    for place, path in enumerate(shards):
        part = rows[rows["shard"] == place]
        with Shard(path, artifact, images_sha(part)) as shard:
            for image in part["image"]:
                for each in read_instances(shard, image):
                    x1, y1, x2, y2 = each.box
                    yield {
                        "image_id": numbers[image],
                        "category_id": each.class_id,
                        "segmentation": each.code | {"counts": each.code["counts"].decode()},
                        "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1],
                        "area": int(coco_mask.area(each.code)),
                        "iscrowd": 0,
                        "score": each.score,
                    }


if __name__ == "__main__":
    run(main)
