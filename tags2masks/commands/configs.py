"""Configs and their experiments, as commands name them."""

import argparse
from pathlib import Path

from tags2masks.config.base import ConfigError
from tags2masks.config.mistakes import choices
from tags2masks.config.project import Config, parse_config
from tags2masks.config.reading import read_config
from tags2masks.errors import UserError
from tags2masks.workflow.artifacts import Experiment
from tags2masks.workflow.building import build_experiments

DEFAULT = Path("config.yaml")


def results_option() -> argparse.ArgumentParser:
    """A parent parser: the folder of the artifacts."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the artifacts"
    )
    return parser


def experiment_arguments() -> argparse.ArgumentParser:
    """A parent parser: an experiment and its config."""
    parser = argparse.ArgumentParser(add_help=False)
    # A single file: with several, the option would consume the experiment as one of them.
    parser.add_argument(
        "--configfile", type=Path, default=DEFAULT, metavar="FILE",
        help=f"the config (default: {DEFAULT})",
    )  # fmt: skip
    parser.add_argument("experiment", help="as the leaderboard names it: dataset/classifier/…")
    return parser


def read(file: Path) -> tuple[Config, list[Experiment]]:
    """The config in a file and its experiments; raises UserError naming the file."""
    raw = read_config(file)
    try:
        config = parse_config(raw)
        return config, build_experiments(config)
    except ConfigError as error:
        lines = (f"{file}: {line}" for line in str(error).splitlines())
        raise UserError("\nerror: ".join(lines)) from None


def named_experiment(args: argparse.Namespace) -> tuple[Config, Experiment]:
    """The experiment that `experiment_arguments` name, and its config."""
    wanted = args.experiment.replace(" ", "")
    config, experiments = read(args.configfile)
    known = {experiment.name: experiment for experiment in experiments}
    if wanted not in known:
        raise UserError(f"no experiment '{wanted}'; {choices(wanted, known)}")
    return config, known[wanted]
