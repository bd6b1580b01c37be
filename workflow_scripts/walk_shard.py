"""Make the pseudo-masks of a shard from maps that walk along a network's affinities."""

from collections.abc import Iterator
from functools import partial

from tags2masks.config.masks import Walk
from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.masks.walked import Walked, finish
from tags2masks.methods import method_block, method_module
from tags2masks.parallel import map_ordered
from tags2masks.provenance import provenance
from tags2masks.store import Entry, Shard, write_shard
from workflow_scripts.program import add_paths, parser, run


def entries(args, spec: Walk, made: Iterator[Walked], total: int) -> Iterator[Entry]:
    """The store's entries, upsampled and, if so wished, refined by a CRF in worker processes."""
    finished = map_ordered(
        partial(finish, spec=spec),
        made,
        workers=args.threads if spec.crf else 1,  # without a CRF it is not worth the processes
        scheduler=args.dask if spec.crf else None,
        batch=4 * spec.batch_size,
        desc=args.recipe["method"],
        total=total,
    )
    for name, mask, instances, found in finished:
        attributes = {"size": list(mask.shape)}
        if instances is None:
            yield name, mask, attributes
        else:
            yield name, mask, attributes | {"instances": found}, {"instances": instances}


def main() -> None:
    """Read the arguments, make the masks, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "index", "classes", "maps", "model", "spec", "output")
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()
    # Here, for torch's sake: workers import this program, too, and 400 MB each is a lot.
    from tags2masks.machine import Machine, prepare
    from tags2masks.masks.walking import walked
    from tags2masks.nets.trained import load_trained

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = method_block("masks", args.recipe, args.free)
    refine = method_module("masks", args.recipe).refine
    upstream = args.recipe["upstream"]
    network, _ = load_trained("affinity", args.model, args.spec, upstream)
    rows = rows_of(read_index(args.index), args.split, args.shard)
    ids = {name: number for number, name in enumerate(read_classes(args.classes), start=1)}
    sha = images_sha(rows)

    with Shard(args.maps, upstream["maps"], sha) as shard:
        made = walked(network, refine, rows, args.root, shard, ids, spec, machine)
        write_shard(args.output, provenance(args.recipe), sha, entries(args, spec, made, len(rows)))


if __name__ == "__main__":
    run(main)
