"""Make the instances of a shard from the boxes of its images."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from tags2masks.config.crf import crf_processes, on_device
from tags2masks.config.instances import Boxed
from tags2masks.data.boxes import boxes_of
from tags2masks.data.images import ImageFile, read_image
from tags2masks.data.index import files_of, images_sha, read_classes, read_index, rows_of, sizes_of
from tags2masks.instance_store import Corners, Instance, entry, instance
from tags2masks.methods import method_block, method_module
from tags2masks.parallel import map_ordered
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


class Item(NamedTuple):
    """An image with the class id and the corners of each of its boxes."""

    file: ImageFile
    size: tuple[int, int]
    class_ids: Sequence[int]
    boxes: Sequence[Corners]


def main() -> None:
    """Read the arguments, make the instances, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "boxes", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    spec = on_device(method_block("instances", args.recipe, args.free), args.device)
    index = read_index(*args.index)
    rows = rows_of(index, args.split, args.shard)
    classes = read_classes(args.classes, index)
    boxes = boxes_of(args.boxes, rows, classes, spec.difficult == "keep")
    names, sizes = rows["image"].tolist(), sizes_of(rows)

    def items() -> Iterator[Item]:
        for file, size, own in zip(files_of(rows, args.root), sizes, boxes, strict=True):
            yield Item(file, size, own.classes.tolist(), list(map(tuple, own.corners.tolist())))

    results = map_ordered(
        partial(_instances, recipe=args.recipe, spec=spec),
        items(),
        workers=crf_processes(spec, args.threads),
        scheduler=args.dask,
        batch=getattr(spec, "batch_size", 64),
        desc=args.recipe["method"],
        total=len(names),
    )
    entries = (entry(*each) for each in zip(names, results, sizes, strict=True))
    write_shard(args.output, provenance(args.recipe), images_sha(rows), entries)


def _instances(item: Item, recipe: dict, spec: Boxed) -> list[Instance]:
    """The instances of an image; only their codes are kept, so that 200 masks are no trouble."""
    make_masks = method_module("instances", recipe).make_masks
    if spec.reads_images:
        image = read_image(item.file, item.size)
    else:
        image = np.empty((*item.size, 3), np.uint8)
    masks = make_masks(image, item.boxes, spec)
    triples = zip(item.class_ids, masks, item.boxes, strict=True)
    return [instance(class_id, mask, box=box) for class_id, mask, box in triples]


if __name__ == "__main__":
    run(main)
