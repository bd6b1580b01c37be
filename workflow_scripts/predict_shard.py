"""Segment a shard's evaluation images with a trained network."""

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.errors import UserError
from tags2masks.methods import inference_block
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, segment, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "model", "spec", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()
    # Lazy import: worker processes import this program, and torch costs 400 MB each.
    from tags2masks.machine import Machine, prepare
    from tags2masks.nets.trained import load_trained
    from tags2masks.segmenters.applying import entries_of

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    network, _ = load_trained("segmenter", args.model, args.spec, args.recipe["upstream"])
    index = read_index(*args.index)
    if args.split not in set(index["split"]):
        raise UserError(
            f"{args.index[0]}: split '{args.split}' has no images; set evaluate_on in the data set"
        )
    rows = rows_of(index, args.split, args.shard)
    inference = inference_block(args.recipe, args.free)
    entries = entries_of(args.recipe, network, rows, args.root, inference, machine)
    write_shard(args.output, provenance(args.recipe), images_sha(rows), entries)


if __name__ == "__main__":
    run(main)
