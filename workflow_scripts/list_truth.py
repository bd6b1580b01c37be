"""List the masks that evaluation measures against, and check every mask."""

from tags2masks.data.index import read_classes, read_index
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.data.truth import check_masks, with_masks, write_truth
from tags2masks.program import add_index, add_paths, parser, run


def main() -> None:
    """Read the arguments, list and check the masks, write the table."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "truth")
    add_index(arguments)
    args = arguments.parse_args()

    spec = dataset_block(args.recipe["dataset"], args.free)
    reader = reader_module(spec.kind)
    index = read_index(*args.index)
    classes = read_classes(args.classes)
    if hasattr(reader, "measured_images"):
        index = reader.measured_images(spec, args.root, index)
    masks = reader.list_masks(spec, args.root, index, args.recipe["seed"], "truth")
    truth = with_masks(masks, index)
    table = reader.mask_table(spec, classes)
    check_masks(truth, index, args.root, table, classes, args.threads)
    write_truth(args.truth, truth)


if __name__ == "__main__":
    run(main)
