"""Checks of what experiments ask for: networks that exist, and masks of images that are there."""

from collections.abc import Iterator, Sequence

from tags2masks.checking.dataset import Checked
from tags2masks.checking.findings import Finding, errors_of
from tags2masks.config.base import Block
from tags2masks.config.dataset_base import Dataset
from tags2masks.config.training import Backbone
from tags2masks.data.index import rows_of
from tags2masks.data.labelled import choose_labelled
from tags2masks.errors import UserError
from tags2masks.nets.backbones import OWN, check_name
from tags2masks.workflow.artifacts import Experiment


def network_findings(experiments: Sequence[Experiment]) -> list[Finding]:
    """Errors for backbones of experiments that timm does not have, each once."""
    names = {
        backbone.name: f"{artifact.stage} {artifact.block.method}"
        for experiment in experiments
        for _, artifact in experiment.products
        for backbone in _backbones(artifact.block)
    }
    findings = []
    for name, what in names.items():
        try:
            if name not in OWN:
                check_name(name)
        except UserError as error:
            findings += errors_of(UserError(f"{what}: {error}"))
    return findings


def _backbones(block: Block) -> Iterator[Backbone]:
    for _, value in block:
        if isinstance(value, Backbone):
            yield value
        elif isinstance(value, Block):
            yield from _backbones(value)


def labelled_findings(
    spec: Dataset, experiments: Sequence[Experiment], checked: Checked, seed: int
) -> list[Finding]:
    """Errors for a `labelled` that names images which are not there, if something learns from it.

    checked: what `check_dataset` saw of the data set; experiments: those of the data set.
    """
    learned = any(
        "masks" in artifact.block.read_sources
        for experiment in experiments
        for _, artifact in experiment.products
    )
    if not learned or not isinstance(spec.labelled, int | float | list | tuple):
        return []
    try:
        choose_labelled(spec.labelled, rows_of(checked.index, "train"), checked.classes, seed)
    except UserError as error:
        return errors_of(error)
    return []
