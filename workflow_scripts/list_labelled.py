"""List the masks of those training images that methods may learn from, and check every mask."""

from tags2masks.data.index import read_classes, read_index, rows_of
from tags2masks.data.labelled import choose_labelled, with_all_masks, write_labelled
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.data.truth import check_masks, with_masks
from tags2masks.program import add_index, add_paths, parser, run


def main() -> None:
    """Read the arguments, choose the images, list and check their masks, write the table."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "labelled")
    add_index(arguments)
    args = arguments.parse_args()

    spec, seed = dataset_block(args.recipe["dataset"], args.free), args.recipe["seed"]
    reader = reader_module(spec.kind)
    train, classes = rows_of(read_index(*args.index), "train"), read_classes(args.classes)
    if spec.labelled == "all":
        masks = with_masks(reader.list_masks(spec, args.root, train, seed, "labelled"), train)
    else:
        chosen = (
            reader.labelled_images(spec, args.root, train)
            if isinstance(spec.labelled, str)
            else choose_labelled(spec.labelled, train, classes, seed)
        )
        rows = train.set_index("image", drop=False).loc[chosen].reset_index(drop=True)
        masks = with_all_masks(reader.list_masks(spec, args.root, rows, seed, "labelled"))
    table = reader.mask_table(spec, classes)
    check_masks(masks, train, args.root, table, classes, args.threads)
    write_labelled(args.labelled, masks)


if __name__ == "__main__":
    run(main)
