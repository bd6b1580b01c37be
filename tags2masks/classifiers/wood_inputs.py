"""The task of a finished training of W-OoD, from the arguments of a program that looks at it."""

import argparse
from pathlib import Path

from tags2masks.data.index import read_classes, read_index
from tags2masks.machine import Machine
from tags2masks.program import add_index, add_paths
from tags2masks.task import Task


def add_task(options: argparse.ArgumentParser) -> None:
    """Add the options for the task's inputs; `--images` is the number of images to look at."""
    add_paths(options, "root", "classes", "model", "candidate_root", "ood", "classifier")
    add_index(options)
    options.add_argument(
        "--candidates", type=Path, nargs="+", required=True, help="tables of the candidates"
    )
    options.add_argument("--keep", type=Path, help="table of a person's answers on them")
    options.add_argument("--images", type=int, required=True, help="of each kind, at most")


def task_of(args: argparse.Namespace, machine: Machine) -> Task:
    """The task; args: of a parser with these options and those of `program.parser`."""
    return Task(
        args.recipe,
        read_index(*args.index),
        read_classes(args.classes),
        args.root,
        machine,
        args.model,
        args.free,
        files={"ood": [args.ood], "classifier": [args.classifier]},
        candidates=read_index(*args.candidates),
        candidate_root=args.candidate_root,
        keep=args.keep,
    )
