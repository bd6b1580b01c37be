"""Housekeeping: `prune`."""

import argparse
import shutil
from pathlib import Path

from tags2masks.commands.configs import DEFAULT, read, results_option
from tags2masks.workflow.artifacts import all_artifacts, reference_cams
from tags2masks.workflow.prune import SHOWN, Unused, other_datasets, remove, unused


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    prune = commands.add_parser(
        "prune",
        parents=[results_option()],
        help="list artifacts that no experiment of the configs refers to",
    )
    prune.add_argument(
        "--configfile", type=Path, nargs="+", default=[DEFAULT], metavar="FILE",
        help=f"configs, each on its own (default: {DEFAULT})",
    )  # fmt: skip
    prune.add_argument("--delete", action="store_true", help="delete them")
    prune.set_defaults(command=_prune)


def _prune(args: argparse.Namespace) -> None:
    """List the artifacts and shards that no experiment refers to, or delete them."""
    used, shards = set(), {}
    for file in args.configfile:
        config, experiments = read(file)
        used |= set(all_artifacts(experiments))
        for name, dataset in config.datasets.items():
            shards[name] = max(dataset.shards, shards.get(name, 0))
        # Used for measuring only.
        cams = reference_cams(config, experiments) if config.evaluation.regions else {}
        used |= {(cam.dataset, cam.stage, cam.id) for cam in cams.values()}
    leftovers = unused(args.results, used, shards)
    for leftover in leftovers:
        print(f"{_size(leftover):>10}  {leftover.path}")
    total = _size(*leftovers)
    stale = sum(
        leftover.path.parent.name not in SHOWN and leftover.path.suffix == ".zip"
        for leftover in leftovers
    )
    parts = [(len(leftovers) - stale, "artifacts"), (stale, "shards")]
    what = " and ".join(f"{count} {name}" for count, name in parts if count)
    configs = ", ".join(map(str, args.configfile))
    if not args.results.exists():
        print(f"There is no {args.results} here")
    elif not leftovers:
        print(f"Every artifact in {args.results} belongs to an experiment of {configs}")
    elif args.delete:
        remove(leftovers, args.results)
        print(f"{total:>10}  deleted: {what} that no experiment of {configs} uses")
    else:
        print(f"{total:>10}  in {what} that no experiment of {configs} uses; --delete deletes them")
    if others := other_datasets(args.results, shards):
        print(
            f"Left alone: {', '.join(others)}, data sets that {configs} does not name; give their "
            "config with --configfile too, or delete their folders by hand"
        )
    if args.results.exists():
        print(f"{shutil.disk_usage(args.results).free / 1e9:7.1f} GB  free on this disk")


def _size(*leftovers: Unused) -> str:
    size = sum(leftover.size for leftover in leftovers)
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
