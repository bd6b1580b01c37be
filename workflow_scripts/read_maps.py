"""Store the maps that a folder has of the images of a shard."""

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.maps.given import read_maps
from tags2masks.methods import method_block
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments and the maps, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "folder", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    spec = method_block("maps", args.recipe, args.free)
    index = read_index(*args.index)
    sha = images_sha(rows_of(index, args.split, args.shard))
    some = rows_of(index, args.split, args.shard, only=spec.images)
    write_shard(args.output, provenance(args.recipe), sha, read_maps(some, args.folder, spec))


if __name__ == "__main__":
    run(main)
