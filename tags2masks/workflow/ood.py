"""Candidates for out-of-distribution images: the data sets they come from, and what jobs get.

Functions of a config and of artifacts whose blocks learn from "ood" (`config/ood.py`).
"""

from collections.abc import Iterable

from tags2masks.config.base import ConfigError, Entry
from tags2masks.config.mistakes import choices
from tags2masks.config.project import Config
from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.params import options


def check_candidates(config: Config, dataset: str, where: str, block: Entry) -> None:
    """Raise ConfigError for candidates that are no other data set than the experiment's."""
    if "ood" not in block.learns_from:
        return
    known, name = config.datasets, block.candidates
    if name is not None and (name not in known or name == dataset):
        others = [other for other in known if other != dataset]
        said = f"no entry '{name}' in datasets" if name not in known else "the experiment's own"
        raise ConfigError(
            f"{where}.ood.candidates: {said}; {choices(name, others)}, or leave it out for the "
            f"images of split ood of {dataset}"
        )


def pools(artifacts: Iterable[Artifact], own: list[str]) -> list[str]:
    """The data sets that candidates come from, each once; without `own`, those of experiments."""
    named = (getattr(artifact.block, "candidates", None) for artifact in artifacts)
    return [name for name in dict.fromkeys(filter(None, named)) if name not in own]


def candidate_splits(config: Config, artifact: Artifact) -> list[tuple[str, str]]:
    """The (data set, split) pairs whose images are an artifact's candidates; [] without any."""
    if "ood" not in artifact.block.learns_from:
        return []
    pool = artifact.block.candidates
    if pool is None:
        return [(artifact.dataset, "ood")]
    tagged = config.datasets[pool].tagged
    return [(pool, split) for split in (("train", "ood") if tagged else ("ood",))]


def candidate_tables(config: Config, artifact: Artifact) -> dict[str, list[str]]:
    """The indexes of an artifact's candidates as the input `candidates`, if it has any."""
    pairs = candidate_splits(config, artifact)
    return {"candidates": [f"results/{name}/{split}.csv" for name, split in pairs]} if pairs else {}


def candidate_options(config: Config, artifact: Artifact) -> str:
    """The arguments for the folder of an artifact's candidates and for a person's table."""
    if "ood" not in artifact.block.learns_from:
        return ""
    pool = artifact.block.candidates or artifact.dataset
    root = config.datasets[pool].image_root(f"results/{pool}")
    table = getattr(artifact.block, "keep_table", None)
    return options({"candidate-root": root} | ({"keep": str(table)} if table else {}))
