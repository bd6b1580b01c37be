"""List a data set's images with their tags and shards, and its classes."""

from tags2masks.data.index import build_index, write_classes, write_index
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.errors import UserError
from tags2masks.program import add_paths, parser, run


def main() -> None:
    """Read the arguments, list and check the images, write the index and the classes."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "index", "classes")
    arguments.add_argument("--shards", type=int, required=True)
    arguments.add_argument("--needs", help="a split that experiments cannot do without")
    args = arguments.parse_args()

    spec = dataset_block(args.recipe["dataset"], args.free)
    reader = reader_module(spec.kind)
    listing, classes = reader.list_images(spec, args.root, args.recipe["seed"])
    if args.needs and args.needs not in set(listing["split"]):
        raise UserError(
            f"split '{args.needs}' has no images, but experiments with a segmenter are tested on "
            "it; give some images this split, or set evaluate_on: train in the data set"
        )
    index = build_index(listing, args.root, classes, args.shards, args.threads)
    write_classes(args.classes, classes)
    write_index(args.index, index)


if __name__ == "__main__":
    run(main)
