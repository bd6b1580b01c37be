"""The artifacts of the experiments, with their provenance, names and colours."""

import json
from pathlib import Path
from typing import NamedTuple

from tags2masks.provenance import read_provenance
from tags2masks.stages import STAGES


class ShownArtifact(NamedTuple):
    """An artifact of a data set.

    name: the names of the config entries that lead to it; number: that of the first experiment that
    uses it, for the colour; users: the experiments that use it.
    """

    stage: str
    id: str
    name: str
    number: int
    users: list[str]
    folder: Path


def chain_numbers(outline: list[dict]) -> dict[str, int]:
    """A number for each experiment's colour; a chain has the same number on every data set."""
    chains: dict[str, int] = {}
    for experiment in outline:
        chains.setdefault(chain_of(experiment), len(chains))
    return {experiment["experiment"]: chains[chain_of(experiment)] for experiment in outline}


def chain_of(experiment: dict) -> str:
    """The experiment's entries without its data set."""
    return path_of(experiment).partition("/")[2]


def path_of(experiment: dict) -> str:
    """The experiment's entries: its name without a seed."""
    return experiment["experiment"].partition("@")[0]


def artifacts_of(
    stage: str, outline: list[dict], numbers: dict[str, int], results: Path
) -> list[ShownArtifact]:
    """The artifacts of a stage in one data set's experiments, each once and in order."""
    artifacts: dict[str, ShownArtifact] = {}
    places = [
        (experiment, *place)
        for experiment in outline
        for place in experiment["steps"]
        if place[1] == stage
    ]
    for experiment, depth, _, id in places:
        name, number = experiment["experiment"], numbers[experiment["experiment"]]
        label = _label(experiment, depth)
        folder = results / experiment["dataset"] / stage / id
        artifact = artifacts.setdefault(id, ShownArtifact(stage, id, label, number, [], folder))
        artifact.users.append(name)
    return list(artifacts.values())


def label_of(experiment: dict, stage: str) -> str:
    """The entries that lead to the experiment's last artifact of a stage, without the data set."""
    return _label(experiment, max(depth for depth, name, _ in experiment["steps"] if name == stage))


def _label(experiment: dict, depth: int) -> str:
    """The first entries of an experiment, with its seed if there are several."""
    path, _, seed = experiment["experiment"].partition("@")
    return "/".join(path.split("/")[1 : depth + 1]) + (f"@{seed}" if seed else "")


def artifact_details(artifact: ShownArtifact) -> dict:
    """An artifact with its provenance, as shown on the page."""
    provenance = read_provenance(artifact.folder)
    return {
        "stage": artifact.stage,
        "title": STAGES[artifact.stage].title,
        "id": artifact.id,
        "users": artifact.users,
        "learns_from": provenance["learns_from"],
        "recipe": json.dumps(provenance["recipe"], indent=2, ensure_ascii=False),
        "versions": ", ".join(
            f"{name} {number}" for name, number in provenance["versions"].items()
        ),
    }


def first_seeds(outline: list[dict]) -> list[dict]:
    """The experiments, with only the first seed of those that are repeated."""
    return list({path_of(experiment): experiment for experiment in reversed(outline)}.values())[
        ::-1
    ]
