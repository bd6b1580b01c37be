"""Store the true instances of the labelled training images of a shard."""

import json

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.data.labelled import read_labelled
from tags2masks.data.readers import dataset_block
from tags2masks.instances.full import labelled_instances
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments and the instances, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "mask_root", "classes", "labelled", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    arguments.add_argument(
        "--places", type=json.loads, default={}, help="free fields of the data set's block, as JSON"
    )
    args = arguments.parse_args()

    rows = rows_of(read_index(*args.index), args.split, args.shard)
    spec = dataset_block(args.recipe["dataset"], args.places)
    classes, listed = read_classes(args.classes), read_labelled(args.labelled)
    entries = labelled_instances(rows, listed, spec, args.mask_root, classes)
    about = provenance(args.recipe) | {"partial": True}
    write_shard(args.output, about, images_sha(rows), entries)


if __name__ == "__main__":
    run(main)
