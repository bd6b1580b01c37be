"""Make the semantic masks of a shard's instances."""

from collections.abc import Iterator

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of, sizes_of
from tags2masks.instance_store import read_instances
from tags2masks.methods import method_module
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.progress import progress
from tags2masks.provenance import provenance
from tags2masks.store import Entry, Shard, write_shard


def main() -> None:
    """Read the arguments, draw the masks, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "instances", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    make_mask = method_module("masks", args.recipe).make_mask
    index = read_index(*args.index)
    rows = rows_of(index, args.split, args.shard)
    ids = {name: number for number, name in enumerate(read_classes(args.classes, index), start=1)}
    sha = images_sha(rows)
    listed = list(zip(rows["image"], rows["tags"], sizes_of(rows), strict=True))
    with Shard(args.instances, args.recipe["upstream"]["instances"], sha) as shard:

        def entries() -> Iterator[Entry]:
            for image, tags, size in progress(listed, "masks"):
                if shard.partial and not shard.holds(image):
                    continue
                mask = make_mask(size, read_instances(shard, image), [ids[tag] for tag in tags])
                yield image, mask, {"size": list(size)}

        about = provenance(args.recipe) | ({"partial": True} if shard.partial else {})
        write_shard(args.output, about, sha, entries())


if __name__ == "__main__":
    run(main)
