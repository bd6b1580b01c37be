"""Make the pseudo-masks of a shard from its maps."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tags2masks.config.crf import crf_processes, on_device
from tags2masks.data.index import files_of, images_sha, read_classes, read_index, rows_of
from tags2masks.masks.single import Item, mask_of
from tags2masks.methods import method_block
from tags2masks.parallel import map_ordered
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.score_file import score_for
from tags2masks.store import Shard, write_shard


def main() -> None:
    """Read the arguments, make the masks, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "maps", "output")
    add_index(arguments)
    arguments.add_argument("--score", type=Path, help="the background score, where it is auto")
    arguments.add_argument("--objectness", type=Path, help="maps of objects, where they guide")
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    spec = on_device(method_block("masks", args.recipe, args.free), args.device)
    upstream = args.recipe["upstream"]
    if args.score is not None:
        spec = spec.at_score(score_for(args.score, upstream["score"]))
    index = read_index(*args.index)
    rows = rows_of(index, args.split, args.shard)
    ids = {name: number for number, name in enumerate(read_classes(args.classes, index), start=1)}
    ids[None] = 0  # a background map
    sha, names = images_sha(rows), rows["image"].tolist()

    with ExitStack() as stack:
        shard = stack.enter_context(Shard(args.maps, upstream["maps"], sha))
        guides = None
        if args.objectness is not None:
            guides = stack.enter_context(Shard(args.objectness, upstream["objectness"], sha))

        def items() -> Iterator[Item]:
            for name, file in zip(names, files_of(rows, args.root), strict=True):
                maps, attributes = shard.read(name)
                class_ids = [ids[name] for name in attributes["classes"]]
                further = {kind: shard.read_further(kind, name) for kind in spec.needs}
                if guides is not None:
                    further["saliency"] = guides.read(name)[0]
                yield Item(file, maps, class_ids, tuple(attributes["size"]), further)

        results = map_ordered(
            partial(mask_of, recipe=args.recipe, spec=spec),
            items(),
            workers=crf_processes(spec, args.threads),
            scheduler=args.dask,
            batch=getattr(spec, "batch_size", 64),
            desc=args.recipe["method"],
            total=len(names),
        )
        entries = (
            (name, made.mask, {"size": list(made.mask.shape)} | made.attributes, made.further)
            for name, made in zip(names, results, strict=True)
        )
        write_shard(args.output, provenance(args.recipe), sha, entries)


if __name__ == "__main__":
    run(main)
