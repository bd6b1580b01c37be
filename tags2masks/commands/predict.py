"""An exported segmenter on new images: `predict`."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import get_args

from tags2masks.config.project import Format
from tags2masks.errors import UserError
from tags2masks.program import add_machine, run


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    options = commands.add_parser("predict", help="segment images with an exported segmenter")
    options.add_argument("model", type=Path, help="a folder that `tags2masks export` wrote")
    options.add_argument("images", type=Path, help="a folder with its subfolders, or one image")
    options.add_argument("output", type=Path, help="the folder to write, which must not exist")
    options.add_argument(
        "--list", type=Path, metavar="FILE", dest="image_list",
        help="a file with a line for each image of the folder to segment, its name with or without "
        "the suffix (default: all images)",
    )  # fmt: skip
    options.add_argument(
        "--probabilities", action="store_true",
        help="also <image>.npz: float16 [classes + 1, height, width], before a CRF",
    )  # fmt: skip
    options.add_argument(
        "--format", action="append", default=[], choices=get_args(Format),
        help="also in the format of another program; may be given several times",
    )  # fmt: skip
    options.add_argument("--overlays", action="store_true", help="also <image>.overlay.jpg")
    options.add_argument(
        "--scales", type=float, nargs="+", metavar="S",
        help="sizes relative to the image, averaged (default: as the experiment has it)",
    )  # fmt: skip
    options.add_argument(
        "--tiles", type=int, metavar="SIDE",
        help="apply it to overlapping tiles of so many pixels: for images too large for memory "
        "(default: as the experiment has it; 0: to whole images)",
    )  # fmt: skip
    options.add_argument(
        "--overlap", type=int, metavar="PIXELS",
        help="that tiles share (default: an eighth of a tile)",
    )  # fmt: skip
    add_machine(options, "auto")
    options.set_defaults(command=lambda args: run(partial(_predict, args)))


def _predict(args: argparse.Namespace) -> None:
    """Segment the images and say where the masks are.

    Raises UserError for input that cannot be used, and after the others are segmented, if some
    images cannot be read.
    """
    _check_output(args.images, args.output)
    if args.image_list is not None and not args.images.is_dir():
        raise UserError("--list: of images in a folder; give the folder, or leave it out")
    # Lazy import: worker processes import this module, and torch costs 400 MB each.
    from tags2masks.data.images import accept_huge_images
    from tags2masks.export.folder import read_exported
    from tags2masks.export.predicting import find_images, inspect_images, write_predictions
    from tags2masks.machine import Machine, prepare
    from tags2masks.segmenters.applying import entries_of

    exported = read_exported(args.model, _changes(args))
    if getattr(exported.inference, "tiles", None) is not None:
        accept_huge_images()
    single = not args.images.is_dir()
    root = args.images.parent if single else args.images
    rows, damaged = (
        inspect_images(root, [args.images.name], exported.reading)
        if single
        else find_images(root, exported.reading, args.image_list)
    )
    for problem in damaged["problem"]:
        print(f"warning: {problem}", file=sys.stderr)
    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, exported.recipe["seed"])
    network, inference = exported.network, exported.inference
    entries = entries_of(
        exported.recipe, network, rows, root, inference, machine, args.probabilities
    )
    overlay_root = root if args.overlays else None
    write_predictions(
        args.output, entries, rows, damaged, exported.classes, args.format, overlay_root
    )
    count = f"{len(rows)} mask{'s' * (len(rows) > 1)}"
    print(f"{args.output}: {count} of {', '.join(exported.classes)}")
    if len(damaged):
        raise UserError(
            f"{args.output}: {len(damaged)} of {len(rows) + len(damaged)} images could not be "
            f"read, see damaged.csv there; the first: {damaged['problem'].iloc[0]}"
        )


def _changes(args: argparse.Namespace) -> dict:
    """The values of `inference` that the arguments change. Raises UserError for a lone overlap."""
    changes: dict = {"scales": tuple(args.scales)} if args.scales else {}
    if args.overlap is not None and not args.tiles:
        raise UserError("--overlap: of tiles; give --tiles too")
    if args.tiles is not None:
        overlap = args.tiles // 8 if args.overlap is None else args.overlap
        changes["tiles"] = {"size": args.tiles, "overlap": overlap} if args.tiles else None
    return changes


def _check_output(images: Path, output: Path) -> None:
    """Raise UserError if there are no images, or if the output would replace or join something."""
    if not images.exists():
        raise UserError(f"{images}: no such folder or image; correct the second argument")
    if output.exists():
        raise UserError(f"{output}: exists already; give another name, or delete it")
    if images.is_dir() and output.resolve().is_relative_to(images.resolve()):
        raise UserError(
            f"{output}: lies in the folder of the images, where its masks would be taken for "
            "images the next time; write it elsewhere"
        )
