"""Segment a folder of new images with a finished experiment's model.

Images that cannot be read are left out and listed in damaged.csv. Segmenters of instances also
write these, as coco.json and as pictures of their numbers.
"""

import sys
from pathlib import Path

from tags2masks.data.images import accept_huge_images
from tags2masks.data.readers import dataset_block
from tags2masks.export.predicting import find_images, write_predictions
from tags2masks.methods import inference_block
from tags2masks.program import add_formats, add_paths, parser, run


def main() -> None:
    """Read the arguments, segment, and write palette PNGs, classes, shares and damaged images.

    Of a segmenter of instances also these.
    """
    arguments = parser(__doc__)
    add_paths(arguments, "images", "model", "spec", "output")
    add_formats(arguments)
    arguments.add_argument("--probabilities", action="store_true", help="also the network's")
    arguments.add_argument("--list", type=Path, help="names of the images to take; default: all")
    args = arguments.parse_args()
    # Lazy import: worker processes import this program, and torch costs 400 MB each.
    from tags2masks.machine import Machine, prepare
    from tags2masks.nets.trained import load_trained
    from tags2masks.segmenters.applying import entries_of

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    network, classes = load_trained("segmenter", args.model, args.spec, args.recipe["upstream"])
    inference = inference_block(args.recipe)
    if getattr(inference, "tiles", None) is not None:
        accept_huge_images()
    reading = dataset_block(args.recipe["dataset"]).reading
    rows, damaged = find_images(args.images, reading, args.list)
    for problem in damaged["problem"]:
        print(f"warning: {problem}", file=sys.stderr)
    entries = entries_of(
        args.recipe, network, rows, args.images, inference, machine, args.probabilities
    )
    overlays = args.images if args.overlays else None
    write_predictions(args.output, entries, rows, damaged, classes, args.formats, overlays)
    print(f"{args.output}: {len(rows)} masks of {', '.join(classes)}")


if __name__ == "__main__":
    run(main)
