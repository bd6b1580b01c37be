"""Find the segments of a shard's images, of no class."""

from functools import partial
from pathlib import Path

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block, method_module
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.segments.kept import Kept, resumed
from tags2masks.segments.sources import Work, entries
from tags2masks.store import write_shard
from tags2masks.workflow.ids import artifact_id, as_param, digest, file_digest


def main() -> None:
    """Read the arguments, find the segments, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "output")
    add_index(arguments)
    arguments.add_argument("--folder", type=Path, help="the user's, of segments or of a model")
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    arguments.add_argument("--source", default="", help="digest of the code")
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = method_block("segments", args.recipe, args.free)
    rows = rows_of(read_index(*args.index), args.split, args.shard)
    work = Work(rows, args.root, machine, args.folder, args.dask)
    find, sha = partial(method_module("segments", args.recipe).find, spec=spec), images_sha(rows)
    if not spec.resumes:
        write_shard(args.output, provenance(args.recipe), sha, entries(work, find(work)))
        return
    model = [file_digest(str(file)) for file in sorted(args.folder.iterdir()) if file.is_file()]
    parts = [artifact_id(args.recipe), as_param(args.free), args.source, sha, *model]
    name = args.output.name.partition(".")[0]
    kept = Kept(args.output.parent / "state" / name, digest("\n".join(parts)))
    write_shard(args.output, provenance(args.recipe), sha, resumed(work, find, kept))
    kept.end()


if __name__ == "__main__":
    run(main)
