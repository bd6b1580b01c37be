"""Make the pseudo-masks of a shard by a random walk of its maps along a network's affinities."""

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.masks.walked import entries
from tags2masks.methods import method_block, method_module
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import Shard, write_shard


def main() -> None:
    """Read the arguments, make the masks, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "maps", "model", "spec", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()
    # Lazy import: worker processes import this program, and torch costs 400 MB each.
    from tags2masks.machine import Machine, prepare
    from tags2masks.masks.walking import walked
    from tags2masks.nets.trained import load_trained

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = method_block("masks", args.recipe, args.free)
    refine = method_module("masks", args.recipe).refine
    upstream = args.recipe["upstream"]
    network, _ = load_trained("affinity", args.model, args.spec, upstream)
    index = read_index(*args.index)
    rows = rows_of(index, args.split, args.shard)
    ids = {name: number for number, name in enumerate(read_classes(args.classes, index), start=1)}
    sha = images_sha(rows)

    with Shard(args.maps, upstream["maps"], sha) as shard:
        walked_maps = walked(network, refine, rows, args.root, shard, ids, spec, machine)
        masks = entries(
            walked_maps, spec, args.threads, args.dask, args.recipe["method"], len(rows)
        )
        write_shard(args.output, provenance(args.recipe), sha, masks)


if __name__ == "__main__":
    run(main)
