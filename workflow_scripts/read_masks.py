"""Store the true masks of the labelled training images of a shard."""

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.data.labelled import read_true_masks
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.masks.full import labelled_masks
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments and the masks, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "mask_root", "classes", "labelled", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    rows = rows_of(read_index(*args.index), args.split, args.shard)
    spec = dataset_block(args.recipe["dataset"])
    table = reader_module(spec.kind).mask_table(spec, read_classes(args.classes))
    entries = labelled_masks(rows, read_true_masks(args.labelled, args.mask_root, table))
    about = provenance(args.recipe) | {"partial": True}
    write_shard(args.output, about, images_sha(rows), entries)


if __name__ == "__main__":
    run(main)
