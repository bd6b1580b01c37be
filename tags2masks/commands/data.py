"""Data in: `import`, `init`, `check`."""

import argparse
import math
import os
import sys
from pathlib import Path

from tags2masks.commands.configs import DEFAULT, read
from tags2masks.errors import UserError
from tags2masks.importing.formats import FORMATS
from tags2masks.program import at_least


def add(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    _add_import(commands)
    init = commands.add_parser("init", help="write a first config that fits a folder of images")
    init.add_argument("folder", type=Path, metavar="FOLDER", help="of images, or of an import")
    init.add_argument("--out", type=Path, default=DEFAULT, help=f"({DEFAULT})")
    init.add_argument("--tags", type=Path, help="the table of tags, if it is elsewhere")
    init.set_defaults(command=_init)
    check = commands.add_parser(
        "check", help="look at the data of a config before anything is trained"
    )
    check.add_argument("config", type=Path, metavar="CONFIG", help="the config file")
    check.add_argument("--no-masks", action="store_true", help="leave the true masks unread")
    check.add_argument(
        "--threads",
        type=at_least(1),
        default=os.cpu_count() or 1,
        help="threads that read images",
    )
    check.set_defaults(command=_check)


def _add_import(commands: argparse._SubParsersAction) -> None:
    kinds = "\n".join(f"  {kind:14s} {form.what}" for kind, form in FORMATS.items())
    parser = commands.add_parser(
        "import",
        help="write a folder data set from another program's annotations",
        description=f"Write a data set from another program's annotations. Kinds:\n{kinds}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=FORMATS, metavar="KIND", help="format of the annotations")
    parser.add_argument("source", type=Path, metavar="SOURCE", help="see the kind")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder for the data set")
    parser.add_argument("--images", type=Path, help="folder of the images, if it is elsewhere")
    parser.add_argument("--masks", type=Path, help="folder of the masks (colours)")
    parser.add_argument("--table", type=Path, help="table of the masks' colours (colours)")
    parser.add_argument("--classes", help="classes to take, in their order: cat,dog")
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--copy", action="store_true", help="copy the images; else they stay")
    files.add_argument("--link", action="store_true", help="make hard links to the images")
    parser.add_argument(
        "--val", type=_share, metavar="SHARE",
        help="share of val, divided anew by tags (default: the source's splits, or 0.2)",
    )  # fmt: skip
    parser.add_argument(
        "--parent", metavar="REGEX",
        help="what the images of one parent (tiles, frames) have in common in their paths",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the division")
    parser.set_defaults(command=_import)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share; write a number from 0, below 1")
    return value


def _import(args: argparse.Namespace) -> None:
    """Write a data set from other annotations, and print what is in it and what was dropped."""
    from tags2masks.importing.formats import reader_of
    from tags2masks.importing.items import Options
    from tags2masks.importing.writing import Division, report, write_dataset

    if not args.source.exists():
        raise UserError(f"{args.source}: no such file or folder; correct SOURCE")
    source = reader_of(args.kind)(args.source, Options(args.images, args.masks, args.table))
    imported = write_dataset(
        source,
        args.out,
        Division(args.val, args.parent, args.seed),
        files="copied" if args.copy else "linked" if args.link else "named",
        only=[name.strip() for name in args.classes.split(",")] if args.classes else None,
        threads=os.cpu_count() or 1,
    )
    report(imported, args.out)


def _init(args: argparse.Namespace) -> None:
    """Write a config for a folder of images."""
    import torch

    from tags2masks.importing.first_config import write_first_config

    gpu = torch.cuda.is_available()
    device = "cuda" if gpu else "cpu"
    about = torch.cuda.get_device_name() if gpu else f"no GPU, {os.cpu_count()} CPU cores"
    write_first_config(args.folder, args.out, args.tags, device, about, os.cpu_count() or 1)


def _check(args: argparse.Namespace) -> None:
    """Print a summary of each data set of a config; exit with status 1 if a run would stop."""
    # Lazy imports: they take seconds, and other commands need none of them.
    from tags2masks.checking.dataset import check_dataset
    from tags2masks.checking.experiments import labelled_findings, network_findings
    from tags2masks.checking.text import conclusion, listed, summary

    config, experiments = read(args.config)
    tested = {one.dataset for one in experiments if "predictions" in one.artifacts}
    findings, stops = [], False
    for name, spec in config.datasets.items():
        needed = spec.evaluate_on if name in tested else None
        checked = check_dataset(
            spec, config.seed, needed, masks=not args.no_masks, threads=args.threads
        )
        mine = [experiment for experiment in experiments if experiment.dataset == name]
        checked.findings.extend(labelled_findings(spec, mine, checked, config.seed))
        print(summary(name, spec.title, checked), end="\n\n", flush=True)
        findings += checked.findings
        stops = stops or checked.stops
    if further := network_findings(experiments):
        print("\n".join(["experiments", *listed(further)]), end="\n\n")
    print(conclusion(str(args.config), findings + further))
    if stops or further:
        sys.exit(1)
