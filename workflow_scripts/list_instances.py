"""Store the true instances of a shard's images, for evaluation."""

import sys

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.data.true_instances import TRUE
from tags2masks.data.truth import read_truth
from tags2masks.instance_store import entry
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.progress import progress
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, list the instances of the images with a mask, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "truth", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    spec = dataset_block(args.recipe["dataset"], args.free)
    index = read_index(*args.index)
    rows = rows_of(index, args.split, args.shard)
    truth = read_truth(args.truth).set_index("image", drop=False)
    measured = rows[rows["image"].isin(truth.index)].reset_index(drop=True)
    found = reader_module(spec.kind).true_instances(
        spec,
        args.root,
        truth.loc[measured["image"]].reset_index(drop=True),
        measured,
        read_classes(args.classes, index),
        args.recipe["seed"],
    )
    images = zip(measured["image"], measured["height"], measured["width"], strict=True)
    pairs = zip(progress(images, "list instances", total=len(measured)), found, strict=True)
    entries = (
        entry(image, instances, (int(height), int(width)))
        for (image, height, width), instances in pairs
        if instances is not None
    )
    about = {"id": TRUE, "partial": True}
    count = write_shard(args.output, about, images_sha(rows), entries)
    if count < len(measured):
        print(
            f"note: the instances of {len(measured) - count} of {len(measured)} {args.split} "
            "images with a mask are not known: these images are left out of figures of instances",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
