"""List the boxes of training or evaluation images, for methods that learn from them."""

import sys

import pandas as pd

from tags2masks.data.box_noise import with_noise
from tags2masks.data.boxes import write_boxes
from tags2masks.data.index import read_classes, read_index
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.errors import UserError
from tags2masks.program import add_index, add_paths, parser, run


def main() -> None:
    """Read the arguments, list and check the boxes, write the table."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "boxes")
    add_index(arguments)
    args = arguments.parse_args()

    spec = dataset_block(args.recipe["dataset"], args.free)
    rows = read_index(*args.index)
    boxes = reader_module(spec.kind).list_boxes(
        spec, args.root, rows, read_classes(args.classes), args.recipe["seed"]
    )
    _check_coverage(rows, boxes)
    if spec.box_noise is not None and set(rows["split"]) == {"train"}:
        boxes = with_noise(boxes, rows, spec.box_noise, args.recipe["seed"])
    write_boxes(args.boxes, boxes)


def _check_coverage(rows: pd.DataFrame, boxes: pd.DataFrame) -> None:
    """Print a note on tagged images without a box; raise UserError if no training image has one."""
    tagged = rows[rows["tags"].map(bool)]
    bare = tagged[~tagged["image"].isin(boxes["image"])]
    split = "".join(tagged["split"].unique())
    if len(bare) == len(tagged) and split == "train":
        raise UserError("no tagged training image has a box; add boxes of some")
    if len(bare):
        print(
            f"note: {len(bare)} of {len(tagged)} tagged {split} images have no box; the first: "
            f"{bare['image'].iloc[0]}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
