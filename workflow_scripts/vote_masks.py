"""Vote on the masks of several chains over a shard's images."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.methods import method_block, method_module
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.progress import progress
from tags2masks.provenance import provenance
from tags2masks.store import Entry, Shard, write_shard


def main() -> None:
    """Read the arguments, vote, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "output")
    add_index(arguments)
    arguments.add_argument("--masks", type=Path, nargs="+", required=True, help="in their order")
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    spec, upstream = method_block("masks", args.recipe, args.free), args.recipe["upstream"]
    make_mask = method_module("masks", args.recipe).make_mask
    ids = [upstream[f"masks_{number}"] for number in range(1, len(args.masks) + 1)]
    rows = rows_of(read_index(*args.index), args.split, args.shard)
    sha = images_sha(rows)
    with ExitStack() as stack:
        shards = [
            stack.enter_context(Shard(path, artifact, sha))
            for path, artifact in zip(args.masks, ids, strict=True)
        ]

        def entries() -> Iterator[Entry]:
            for image in progress(rows["image"], "vote", total=len(rows)):
                read = [shard.read(image) for shard in shards]
                size = {"size": read[0][1]["size"]}
                yield image, make_mask([mask for mask, _ in read], spec), size

        write_shard(args.output, provenance(args.recipe), sha, entries())


if __name__ == "__main__":
    run(main)
