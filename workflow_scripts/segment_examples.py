"""Segment the few training images that the report shows of an experiment."""

from pathlib import Path

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.methods import inference_block
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.report.examples import choose
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, choose, segment, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "model", "spec", "output")
    add_index(arguments)
    arguments.add_argument("--count", type=int, required=True, help="well done ones, and badly")
    arguments.add_argument("--images", type=Path, help="each image's quality, where known")
    args = arguments.parse_args()
    # Lazy import: worker processes import this program, and torch costs 400 MB each.
    from tags2masks.machine import Machine, prepare
    from tags2masks.nets.trained import load_trained
    from tags2masks.segmenters.applying import entries_of

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    network, _ = load_trained("segmenter", args.model, args.spec, args.recipe["upstream"])
    train = rows_of(read_index(*args.index), "train")
    chosen = train[train["image"].isin(choose(train, args.images, args.count))]
    inference = inference_block(args.recipe, args.free)
    entries = entries_of(args.recipe, network, chosen, args.root, inference, machine)
    write_shard(args.output, provenance(args.recipe), images_sha(chosen), entries)


if __name__ == "__main__":
    run(main)
