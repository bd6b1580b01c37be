"""Find objects in the images of a shard, by a trained saliency network."""

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block, method_module
from tags2masks.nets.trained import load_trained
from tags2masks.objectness.finding import found
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, find objects, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "model", "spec", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = method_block("objectness", args.recipe, args.free)
    find = method_module("objectness", args.recipe).find
    upstream = args.recipe["upstream"]
    network, _ = load_trained("saliency_network", args.model, args.spec, upstream)
    rows = rows_of(read_index(*args.index), args.split, args.shard)
    entries = found(find, network, rows, args.root, spec, machine)
    write_shard(args.output, provenance(args.recipe), images_sha(rows), entries)


if __name__ == "__main__":
    run(main)
