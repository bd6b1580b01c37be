"""Runs outside a clone: `run`, `examples`."""

import argparse
import os
from pathlib import Path

from tags2masks.workflow.checkout import copy_examples, given_config, snakemake_command


def add(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    run = commands.add_parser("run", help="run a config with Snakemake, in this folder")
    run.add_argument("config", type=Path, metavar="CONFIG", help="without one here: the demo's")
    run.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT",
        help="Snakemake's, such as --cores 2, --dry-run, --profile slurm, or a target",
    )  # fmt: skip
    run.set_defaults(command=_run, unknown="; CONFIG comes first, then Snakemake's arguments")

    examples = commands.add_parser(
        "examples", help="write the demo's config, papers/ and the Slurm profile into this folder"
    )
    examples.set_defaults(command=_examples)


def _run(args: argparse.Namespace) -> None:
    """Become Snakemake with the Snakefile of this installation.

    Neither it nor its jobs import packages of the working directory, which may be another clone.
    """
    command = snakemake_command(given_config(args.config), args.arguments)
    os.execve(command[0], command, os.environ | {"PYTHONSAFEPATH": "1"})


def _examples(args: argparse.Namespace) -> None:
    """Write the configs that come with tags2masks into this folder."""
    print("\n".join(map(str, copy_examples(Path()))))
