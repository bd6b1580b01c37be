"""Localize the tagged classes of a shard's training images."""

from functools import partial
from pathlib import Path

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.machine import Machine, prepare
from tags2masks.maps.localizing import Material, helpers_of, localized, ready
from tags2masks.methods import method_block, method_module
from tags2masks.nets.trained import load_classifier
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, localize, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "model", "spec", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    arguments.add_argument("--prototypes", type=Path, help="for methods that need them")
    arguments.add_argument("--masks", type=Path, help="for methods that need them")
    arguments.add_argument("--ordinary", type=Path, help="spec.json of what --model began as")
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    seed, upstream = args.recipe["seed"], args.recipe["upstream"]
    prepare(machine, seed)
    spec = method_block("maps", args.recipe, args.free)
    method = method_module("maps", args.recipe)
    network, classes = load_classifier(args.model, args.spec, upstream, args.ordinary)
    network = ready(network, spec, machine)
    index = read_index(*args.index)
    given = {"prototypes": args.prototypes, "masks": args.masks}
    files = {name: file for name, file in given.items() if file}
    part = (args.split, args.shard)
    material = Material(index, args.root, classes, machine, upstream, files, part)
    helpers = helpers_of(spec, material)
    some = rows_of(index, args.split, args.shard, only=spec.images)
    localize = partial(method.localize, network, **helpers)
    entries = localized(localize, spec, some, args.root, classes, seed, machine)
    write_shard(
        args.output,
        provenance(args.recipe),
        images_sha(rows_of(index, args.split, args.shard)),
        entries,
    )


if __name__ == "__main__":
    run(main)
