"""Find the segments of a shard's images, of no class."""

from pathlib import Path

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block, method_module
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.segments.sources import Work, entries
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, find the segments, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "output")
    add_index(arguments)
    arguments.add_argument("--folder", type=Path, help="the user's, of segments or of a model")
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = method_block("segments", args.recipe, args.free)
    rows = rows_of(read_index(*args.index), args.split, args.shard)
    work = Work(rows, args.root, machine, args.folder, args.dask)
    found = method_module("segments", args.recipe).find(work, spec)
    write_shard(args.output, provenance(args.recipe), images_sha(rows), entries(work, found))


if __name__ == "__main__":
    run(main)
