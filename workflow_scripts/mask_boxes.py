"""Make the instances of a shard from the maps of its single objects."""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tags2masks.config.crf import crf_processes, on_device
from tags2masks.config.instances import BoxMask
from tags2masks.data.images import ImageFile, read_image
from tags2masks.data.index import files_of, images_sha, read_index, rows_of, sizes_of
from tags2masks.errors import UserError
from tags2masks.given import is_given
from tags2masks.instance_store import Instance, entry, instance
from tags2masks.instances.proposals import Proposals, of_superpixels, read_mcg
from tags2masks.methods import method_block, method_module
from tags2masks.object_maps import ObjectMap, read_objects
from tags2masks.parallel import map_ordered
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import Shard, write_shard


class Item(NamedTuple):
    """An image with its objects, the size on which their grids lie, and its file of proposals."""

    file: ImageFile
    size: tuple[int, int]
    objects: Sequence[ObjectMap]
    seen: tuple[int, int]
    proposals: Path | None


def main() -> None:
    """Read the arguments and the maps, make the instances, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "maps", "output")
    add_index(arguments)
    arguments.add_argument("--proposals", type=Path, help="folder of MCG's proposals")
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    spec = on_device(method_block("instances", args.recipe, args.free), args.device)
    rows = rows_of(read_index(*args.index), args.split, args.shard)
    sha, about = images_sha(rows), provenance(args.recipe)
    boxes = empty = 0
    with Shard(args.maps, args.recipe["upstream"]["maps"], sha) as maps:
        if maps.partial:
            rows = rows[rows["image"].map(maps.holds).astype(bool)]
            about |= {"partial": True}
        names, sizes = rows["image"].tolist(), sizes_of(rows)
        files = _proposal_files(args.proposals, names)

        def items() -> Iterator[Item]:
            nonlocal boxes, empty
            listed = zip(names, files_of(rows, args.root), sizes, files, strict=True)
            for image, file, size, proposals in listed:
                objects, seen = read_objects(maps, image)
                kept = [one for one in objects if spec.difficult == "keep" or not one.difficult]
                boxes, empty = boxes + len(kept), empty + sum(not one.grid.any() for one in kept)
                yield Item(file, size, kept, seen, proposals)

        results = map_ordered(
            partial(_instances, recipe=args.recipe, spec=spec),
            items(),
            workers=crf_processes(spec, args.threads),
            scheduler=args.dask,
            batch=spec.batch_size,
            desc=args.recipe["method"],
            total=len(names),
        )
        entries = (entry(*each) for each in zip(names, results, sizes, strict=True))
        write_shard(args.output, about, sha, entries)
    if empty:
        print(
            f"note: {empty} of {boxes} boxes have an empty map, mostly because the detector found "
            "them from no proposal; their masks are of filled boxes and the CRF alone",
            file=sys.stderr,
        )


def _proposal_files(folder: Path | None, images: Sequence[str]) -> list[Path | None]:
    """The file of each image; raises UserError if some are absent."""
    if folder is None:
        return [None] * len(images)
    files = [folder / f"{image}.mat" for image in images]
    absent = [file for file in files if not is_given(file)]
    if absent:
        raise UserError(
            f"{absent[0]}: no such file of proposals; {len(absent)} of {len(files)} images have "
            "none: give each one, or leave its image out of the data set"
        )
    return files


def _instances(item: Item, recipe: dict, spec: BoxMask) -> list[Instance]:
    """The instances of an image; only their codes are kept, so that 200 masks are no trouble."""
    if not item.objects:
        return []
    make_masks = method_module("instances", recipe).make_masks
    image = read_image(item.file, item.size)
    proposals: Proposals | None = None
    if item.proposals is not None:
        proposals = read_mcg(item.proposals, item.size)
    elif spec.superpixels is not None:
        proposals = of_superpixels(image, spec.superpixels)
    levels = make_masks(image, item.objects, item.seen, proposals, spec)
    return [
        instance(each.class_id, mask, box=each.box, possible=possible)
        for each, (mask, possible) in zip(item.objects, levels, strict=True)
    ]


if __name__ == "__main__":
    run(main)
