"""Let the segments of a shard's images take the classes of its masks."""

from collections.abc import Iterator

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.instance_store import read_instances
from tags2masks.methods import method_block, method_module
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.progress import progress
from tags2masks.provenance import provenance
from tags2masks.store import Entry, Shard, write_shard


def main() -> None:
    """Read the arguments, refine the masks, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "masks", "segments", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    spec, upstream = method_block("masks", args.recipe, args.free), args.recipe["upstream"]
    make_mask = method_module("masks", args.recipe).make_mask
    rows = rows_of(read_index(*args.index), args.split, args.shard)
    sha = images_sha(rows)
    with (
        Shard(args.masks, upstream["masks"], sha) as masks,
        Shard(args.segments, upstream["segments"], sha) as segments,
    ):

        def entries() -> Iterator[Entry]:
            for image in progress(rows["image"], "refine", total=len(rows)):
                mask, about = masks.read(image)
                refined = make_mask(mask, spec, read_instances(segments, image))
                yield image, refined, {"size": about["size"]}

        write_shard(args.output, provenance(args.recipe), sha, entries())


if __name__ == "__main__":
    run(main)
