"""List the images of a split with their tags and shards; for train, the classes, too."""

from pathlib import Path

from tags2masks.config.datasets import SPLITS
from tags2masks.data.index import (
    apart,
    build_index,
    read_classes,
    read_index,
    write_classes,
    write_index,
)
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.errors import UserError
from tags2masks.program import add_paths, parser, run


def main() -> None:
    """Read the arguments, list and check the images, write the index and the classes."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "output", "classes")
    arguments.add_argument("--split", choices=SPLITS, required=True)
    arguments.add_argument("--train", type=Path, help="the index of train, for the other splits")
    arguments.add_argument("--shards", type=int, required=True)
    arguments.add_argument(
        "--needed", action="store_true", help="experiments cannot do without images of this split"
    )
    args = arguments.parse_args()

    spec = dataset_block(args.recipe["dataset"], args.free)
    reader = reader_module(spec.kind)
    first = args.split == "train"
    classes = reader.list_classes(spec, args.root) if first else read_classes(args.classes)
    listing = reader.list_images(spec, args.root, args.split, classes, args.recipe["seed"])
    if not first:
        listing = apart(listing, read_index(args.train))
    elif listing.empty:
        raise UserError("no training image; give images the split train")
    if args.needed and listing.empty:
        raise UserError(
            f"split '{args.split}' has no images, but experiments with a segmenter are tested on "
            "it; give some images this split, or set evaluate_on: train in the data set"
        )
    index = build_index(listing, args.root, classes, args.shards, args.threads)
    if first:
        write_classes(args.classes, classes)
    write_index(args.output, index)


if __name__ == "__main__":
    run(main)
