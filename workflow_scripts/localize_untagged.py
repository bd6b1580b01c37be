"""Localize classes that images are not tagged with, beside their tags, for the report."""

from functools import partial
from pathlib import Path

from tags2masks.analyses.untagged import further_tagged
from tags2masks.config.analyses import Untagged
from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.machine import Machine, prepare
from tags2masks.maps.localizing import Material, helpers_of, localized, ready
from tags2masks.methods import method_block, method_module
from tags2masks.nets.trained import load_classifier
from tags2masks.program import add_analysis, add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, localize, and write a shard of the chosen images."""
    options = parser(__doc__)
    add_paths(options, "root", "model", "spec", "output")
    add_index(options)
    add_analysis(options)
    options.add_argument("--prototypes", type=Path, help="for methods that need them")
    options.add_argument("--ordinary", type=Path, help="spec.json of what --model began as")
    args = options.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    seed, upstream = args.recipe["seed"], args.recipe["upstream"]
    prepare(machine, seed)
    network, classes = load_classifier(args.model, args.spec, upstream, args.ordinary)
    train = rows_of(read_index(*args.index), "train")
    rows = further_tagged(train, classes, Untagged.model_validate(args.analysis))
    spec = method_block("maps", args.recipe, args.free)
    method = method_module("maps", args.recipe)
    files = {"prototypes": args.prototypes} if args.prototypes else {}
    material = Material(train, args.root, classes, machine, upstream, files)
    helpers = helpers_of(spec, material)
    localize = partial(method.localize, ready(network, spec, machine), **helpers)
    entries = localized(localize, spec, rows, args.root, classes, seed, machine)
    about = provenance(args.recipe) | {"partial": True}
    write_shard(args.output, about, images_sha(train), entries)


if __name__ == "__main__":
    run(main)
