"""Localize the objects in the boxes of a shard's images by a detector's answers."""

from functools import partial

from tags2masks.data.boxes import boxes_of
from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.machine import Machine, prepare
from tags2masks.maps.localizing import ready
from tags2masks.maps.object_localizing import Kept, fingerprint, localized_objects
from tags2masks.methods import method_block, method_module
from tags2masks.nets.checkpoint import read_spec
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard
from tags2masks.workflow.ids import artifact_id, as_param, file_digest


def main() -> None:
    """Read the arguments, localize, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "model", "spec", "boxes", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    arguments.add_argument("--source", default="", help="digest of the code")
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    seed, upstream = args.recipe["seed"], args.recipe["upstream"]
    prepare(machine, seed)
    spec = method_block("maps", args.recipe, args.free)
    method = method_module("maps", args.recipe)
    network, classes = load_trained("detector", args.model, args.spec, upstream)
    network = ready(network, spec, machine)
    detector = method_block("detectors", read_spec(args.spec)["recipe"])
    index = read_index(*args.index)
    sha = images_sha(rows_of(index, args.split, args.shard))
    some = rows_of(index, args.split, args.shard, only=spec.images)
    boxes = boxes_of(args.boxes, some, classes, spec.difficult == "keep")
    kept = Kept(
        args.output.parent / "state" / args.output.name.partition(".")[0],
        fingerprint(
            artifact_id(args.recipe),
            as_param(args.free),
            args.source,
            sha,
            file_digest(str(args.model)),
            file_digest(str(args.boxes)),
        ),
    )
    entries = localized_objects(
        partial(method.localize, network, spec=spec),
        spec,
        some,
        args.root,
        boxes,
        classes,
        (spec.short_side or detector.test_short_side, detector.augment.longest),
        seed,
        machine,
        kept,
    )
    about = provenance(args.recipe) | ({} if spec.images is None else {"partial": True})
    write_shard(args.output, about, sha, entries)
    kept.end()


if __name__ == "__main__":
    run(main)
