"""List the boxes of training and evaluation images, for methods that learn from them."""

import sys

import pandas as pd

from tags2masks.data.boxes import write_boxes
from tags2masks.data.index import read_classes, read_index
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.errors import UserError
from tags2masks.program import add_paths, parser, run


def main() -> None:
    """Read the arguments, list and check the boxes, write the table."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "index", "classes", "boxes")
    args = arguments.parse_args()

    spec = dataset_block(args.recipe["dataset"], args.free)
    index = read_index(args.index)
    rows = index[index["split"] != "ood"].reset_index(drop=True)
    boxes = reader_module(spec.kind).list_boxes(
        spec, args.root, rows, read_classes(args.classes), args.recipe["seed"]
    )
    _tell(rows, boxes)
    write_boxes(args.boxes, boxes)


def _tell(rows: pd.DataFrame, boxes: pd.DataFrame) -> None:
    """Print a note on tagged training images without a box; raise UserError if none has one."""
    train = rows[(rows["split"] == "train") & rows["tags"].map(bool)]
    bare = train[~train["image"].isin(boxes["image"])]
    if len(bare) == len(train):
        raise UserError("no tagged training image has a box; add boxes of some")
    if len(bare):
        print(
            f"note: {len(bare)} of {len(train)} tagged training images have no box; the first: "
            f"{bare['image'].iloc[0]}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
