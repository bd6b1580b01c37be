"""Store the features of a shard's training images, by a backbone that is not trained."""

from pathlib import Path

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block, method_module
from tags2masks.nets.backbones import load_initial_weights
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, compute the features, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "output")
    add_index(arguments)
    arguments.add_argument("--weights", type=Path, help="the file behind backbone.weights")
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = method_block("features", args.recipe, args.free)
    method = method_module("features", args.recipe)
    network = method.build(spec)
    named = {"weights": str(args.weights)} if args.weights else {}
    load_initial_weights(network.backbone, spec.backbone.model_copy(update=named))
    rows = rows_of(read_index(*args.index), args.split, args.shard)
    entries = method.pooled(network, rows, args.root, spec, machine)
    count = write_shard(args.output, provenance(args.recipe), images_sha(rows), entries)
    size = args.output.stat().st_size
    print(f"features of {count} images: {size / 1e6:.3g} MB on disk", flush=True)


if __name__ == "__main__":
    run(main)
