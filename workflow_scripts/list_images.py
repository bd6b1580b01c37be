"""List the images of a split with their tags and shards; for train also the classes.

The user's masks are checked here, so that an invalid mask stops the run before any training. Their
content is not written: only `list_truth` does that.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pandas as pd

from tags2masks.config.dataset_base import Dataset
from tags2masks.data.index import (
    apart,
    build_index,
    read_classes,
    read_index,
    refuse_no_images,
    with_reading,
    write_classes,
    write_index,
)
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.data.truth import check_masks, refuse_no_mask
from tags2masks.data.warnings import split_warnings, write_warnings
from tags2masks.program import add_paths, parser, run
from tags2masks.user_tables import SPLITS


def main() -> None:
    """Read the arguments, list and check the images, write the index and the classes."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "output", "warnings")
    arguments.add_argument("--classes", type=Path, help="written for train; absent without tags")
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
    if first or not spec.tagged:
        classes, train = reader.list_classes(spec, args.root), None
    else:
        classes, train = read_classes(args.classes), read_index(args.train)
    listing = reader.list_images(spec, args.root, args.split, classes, args.recipe["seed"])
    if train is not None:
        listing = apart(listing, train)
    if first or args.needed:
        refuse_no_images(listing, args.split, args.needed)
    if not spec.makes_images:  # else they are written as they were read
        listing = with_reading(listing, spec.reading)
    index = build_index(listing, args.root, classes, args.shards, args.threads)
    if spec.has_truth and not spec.makes_masks and args.split != "ood":
        refuse_wrong_masks(spec, reader, index, train, classes, args.threads)
    if first:
        write_classes(args.classes, classes)
    write_index(args.output, index)
    write_warnings(args.warnings, split_warnings(spec, reader, index, classes))


def refuse_wrong_masks(
    spec: Dataset,
    reader: ModuleType,
    index: pd.DataFrame,
    train: pd.DataFrame | None,
    classes: Sequence[str],
    threads: int,
) -> None:
    """Raise UserError as `check_masks`, or if no image of train and val has a mask.

    index: the index of one split; train: the index of train, if the split is val. Only those
    training images are checked that are measured.
    """
    root = spec.truth_root("")
    if hasattr(reader, "measured_images") and train is None:
        index = reader.measured_images(spec, root, index)
    masks = reader.list_masks(spec, root, index)
    if train is not None and (masks["lacks"] != "").all():
        refuse_no_mask(pd.concat([reader.list_masks(spec, root, train), masks]))
    masks = masks[masks["lacks"] == ""]
    check_masks(masks, index, root, reader.mask_table(spec, classes), classes, threads)


if __name__ == "__main__":
    run(main)
