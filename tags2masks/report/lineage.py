"""Which artifacts the experiments made, from what, and how they are named and coloured."""

import json
from pathlib import Path
from typing import NamedTuple

from tags2masks.provenance import read_provenance
from tags2masks.stages import STAGES


class Made(NamedTuple):
    """An artifact of a data set.

    name: the names of the config's entries that lead to it; number: of the first experiment that
    uses it, which gives its colour; users: those experiments.
    """

    stage: str
    id: str
    name: str
    number: int
    users: list[str]
    folder: Path


def chain_numbers(outline: list[dict]) -> dict[str, int]:
    """A number per experiment, for its colour: the same chain has the same on every data set."""
    chains: dict[str, int] = {}
    for one in outline:
        chains.setdefault(chain_of(one), len(chains))
    return {one["experiment"]: chains[chain_of(one)] for one in outline}


def chain_of(one: dict) -> str:
    """The experiment's entries without its data set."""
    return path_of(one).partition("/")[2]


def path_of(one: dict) -> str:
    """The experiment's entries: its name without a seed."""
    return one["experiment"].partition("@")[0]


def made_of(stage: str, outline: list[dict], numbers: dict[str, int], results: Path) -> list[Made]:
    """The artifacts of a stage of one data set's experiments, each once, in their order."""
    found: dict[str, Made] = {}
    steps = [(one, *step) for one in outline for step in one["steps"] if step[1] == stage]
    for one, depth, _, artifact in steps:
        name, number = one["experiment"], numbers[one["experiment"]]
        path, _, seed = name.partition("@")
        label = "/".join(path.split("/")[1 : depth + 1]) + (f"@{seed}" if seed else "")
        folder = results / one["dataset"] / stage / artifact
        made = found.setdefault(artifact, Made(stage, artifact, label, number, [], folder))
        made.users.append(name)
    return list(found.values())


def told(one: Made) -> dict:
    """An artifact with what it says that it was made of."""
    said = read_provenance(one.folder)
    return {
        "stage": one.stage,
        "step": STAGES[one.stage].title,
        "id": one.id,
        "users": one.users,
        "learns_from": said["learns_from"],
        "recipe": json.dumps(said["recipe"], indent=2, ensure_ascii=False),
        "versions": ", ".join(f"{name} {number}" for name, number in said["versions"].items()),
    }


def first_seeds(outline: list[dict]) -> list[dict]:
    """The experiments, of those that are repeated with several seeds the first alone."""
    return list({path_of(one): one for one in reversed(outline)}.values())[::-1]
