"""Make the masks of objects of a shard from its maps of objects."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from tags2masks.config.crf import crf_processes, on_device
from tags2masks.config.object_masks import ObjectCrf
from tags2masks.data.images import ImageFile, read_image
from tags2masks.data.index import files_of, images_sha, read_index, rows_of
from tags2masks.methods import method_block, method_module
from tags2masks.parallel import map_ordered
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import Shard, write_shard


def main() -> None:
    """Read the arguments, make the masks, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "objectness", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    spec = on_device(method_block("object_masks", args.recipe, args.free), args.device)
    rows = rows_of(read_index(*args.index), args.split, args.shard)
    sha, names = images_sha(rows), rows["image"].tolist()
    with Shard(args.objectness, args.recipe["upstream"]["objectness"], sha) as shard:

        def items() -> Iterator[tuple]:
            for name, file in zip(names, files_of(rows, args.root), strict=True):
                maps, attributes = shard.read(name)
                yield file, maps, tuple(attributes["size"])

        masks = map_ordered(
            partial(_mask, recipe=args.recipe, spec=spec),
            items(),
            workers=crf_processes(spec, args.threads),
            scheduler=args.dask,
            batch=spec.batch_size,
            desc="object masks",
            total=len(names),
        )
        entries = (
            (name, mask, {"size": list(mask.shape)})
            for name, mask in zip(names, masks, strict=True)
        )
        write_shard(args.output, provenance(args.recipe), sha, entries)


def _mask(
    item: tuple[ImageFile, np.ndarray, tuple[int, int]], recipe: dict, spec: ObjectCrf
) -> np.ndarray:
    file, maps, size = item
    return method_module("object_masks", recipe).make_mask(read_image(file, size), maps, spec)


if __name__ == "__main__":
    run(main)
