"""Average the maps of several chains over a shard's images."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.errors import UserError
from tags2masks.methods import method_block, method_module
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.progress import progress
from tags2masks.provenance import provenance
from tags2masks.store import Entry, Shard, write_shard


def main() -> None:
    """Read the arguments, average the maps, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "output")
    add_index(arguments)
    arguments.add_argument("--maps", type=Path, nargs="+", required=True, help="in their order")
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    spec, upstream = method_block("maps", args.recipe, args.free), args.recipe["upstream"]
    average = method_module("maps", args.recipe).average
    ids = [upstream[f"maps_{number}"] for number in range(1, len(args.maps) + 1)]
    index = read_index(*args.index)
    sha = images_sha(rows_of(index, args.split, args.shard))
    images = rows_of(index, args.split, args.shard, only=spec.images)["image"]
    with ExitStack() as stack:
        shards = [
            stack.enter_context(Shard(path, artifact, sha))
            for path, artifact in zip(args.maps, ids, strict=True)
        ]

        def entries() -> Iterator[Entry]:
            for image in progress(images, "average", total=len(images)):
                read = [shard.read(image) for shard in shards]
                about = {name: read[0][1][name] for name in ("classes", "size")}
                for shard, (_, other) in zip(shards, read, strict=True):
                    if any(other[name] != value for name, value in about.items()):
                        raise UserError(
                            f"{shard.path}: image '{image}': maps of {other['classes']}, and of "
                            f"{about['classes']} in {shards[0].path}; delete both and run again"
                        )
                yield image, average([maps for maps, _ in read], spec), about

        write_shard(args.output, provenance(args.recipe), sha, entries())


if __name__ == "__main__":
    run(main)
