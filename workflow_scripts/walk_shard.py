"""Walk the maps of a shard along a network's affinities."""

from pathlib import Path

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block, method_module
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.score_file import score_for
from tags2masks.store import Shard, write_shard
from tags2masks.walks.walking import walked


def main() -> None:
    """Read the arguments, walk, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "maps", "model", "spec", "output")
    add_index(arguments)
    arguments.add_argument("--score", type=Path, help="the background score, where it is auto")
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec, upstream = method_block("walks", args.recipe, args.free), args.recipe["upstream"]
    if args.score is not None:
        spec = spec.at_score(score_for(args.score, upstream["score"]))
    refine = method_module("walks", args.recipe).refine
    network, _ = load_trained("affinity", args.model, args.spec, upstream)
    rows = rows_of(read_index(*args.index), args.split, args.shard)
    sha = images_sha(rows)
    with Shard(args.maps, upstream["maps"], sha) as shard:
        entries = walked(
            network, refine, rows, args.root, shard, spec, machine, args.recipe["method"]
        )
        write_shard(args.output, provenance(args.recipe), sha, entries)


if __name__ == "__main__":
    run(main)
