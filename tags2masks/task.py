"""A training to do: what is trained, from what and where; and doing it, whatever the stage.

What differs between stages is in the module `learning` of each stage's package. It has

- `views(task) -> Dataset`: the training images as batches have them; indexed by a `Draw`;

and, where the stage needs them,

- `consulted(task) -> nn.Module | None`: a second network, which steps consult;
- `measure(task) -> Measure`: what is measured after an epoch;
- `finish(task, network, second)`: what is done in the main process when training has ended.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType

import pandas as pd
from torch import nn

from tags2masks.checkpoints import State
from tags2masks.config.training import Training
from tags2masks.data.index import images_sha, rows_of
from tags2masks.errors import UserError
from tags2masks.machine import Machine, is_main_process
from tags2masks.methods import learning_module, method_block, method_module, package_of
from tags2masks.nets.backbones import fill, load_initial_weights, read_weights
from tags2masks.training import fit
from tags2masks.workflow.ids import artifact_id


@dataclass(frozen=True)
class Task:
    """What to train, from what, and where.

    recipe: of the artifact; free: the fields of its block that are in no recipe.
    index: as `read_index` gives it; root: the folder that its paths are relative to.
    model: the file that the network is for, beside which the run keeps its checkpoints.
    files: of each stage in the recipe's upstream: its shards in order, or its model, which has its
    spec.json beside it. weights: the file behind `backbone.weights`, where that names one.
    source: digest of the code; a checkpoint of other code is not resumed.
    """

    recipe: dict
    index: pd.DataFrame
    classes: list[str]
    root: Path
    machine: Machine
    model: Path
    free: dict = field(default_factory=dict)
    files: dict[str, list[Path]] = field(default_factory=dict)
    weights: Path | None = None
    source: str = ""

    @cached_property
    def spec(self) -> Training:
        """The method's block of the config."""
        return method_block(package_of(self.recipe), self.recipe, self.free)

    @cached_property
    def method(self) -> ModuleType:
        """The method's module."""
        return method_module(package_of(self.recipe), self.recipe)

    def rows(self, split: str) -> pd.DataFrame:
        """The images of a split."""
        return rows_of(self.index, split)

    def upstream(self, stage: str) -> tuple[list[Path], str]:
        """The files and the id of the artifact of a stage that this one is made from.

        Raises UserError when the recipe names none, or its files are not given.
        """
        artifact = self.recipe["upstream"].get(stage)
        if artifact is None:
            raise UserError(
                f"{artifact_id(self.recipe)}: its recipe has no {stage} upstream, which it is to "
                "learn from; name one there"
            )
        if not self.files.get(stage):
            raise UserError(
                f"{artifact_id(self.recipe)} is made from {artifact}; give its files as --{stage}"
            )
        return self.files[stage], artifact

    def state(self) -> State:
        """The checkpoints of this recipe, this code and these images alone."""
        sha = images_sha(self.rows("train"))
        fingerprint = "-".join([artifact_id(self.recipe), self.source, sha])
        return State(self.model.parent / "state", fingerprint)


def train(task: Task) -> tuple[nn.Module, list[dict[str, float]]]:
    """Train the task's network; it, and the rows of `fit`.

    The process must be prepared (`machine.prepare`) with the recipe's seed: the first weights are
    random. Raises UserError for files that do not fit the recipe.
    """
    stage = learning_module(package_of(task.recipe))
    network = task.method.build(task.spec, len(task.classes))
    _initialize(network.backbone, task)
    second = stage.consulted(task) if hasattr(stage, "consulted") else None
    further = {"measure": stage.measure(task)} if hasattr(stage, "measure") else {}
    rows = fit(
        network,
        stage.views(task),
        task.method.step,
        task.spec,
        task.recipe["seed"],
        task.machine,
        task.state(),
        second=second,
        **further,
    )
    if hasattr(stage, "finish") and is_main_process():
        stage.finish(task, network, second)
    return network, rows


def _initialize(backbone: nn.Module, task: Task) -> None:
    """Fill a backbone with the upstream classifier's, if the spec says so, or as `weights` says."""
    if getattr(task.spec, "init_from_classifier", False):
        (classifier,), _ = task.upstream("classifier")
        state = read_weights(classifier, "delete it and run again")
        inner = {name.removeprefix("backbone."): tensor for name, tensor in state.items()}
        fill(backbone, inner, str(classifier))
        return
    named = {"weights": str(task.weights)} if task.weights else {}
    load_initial_weights(backbone, task.spec.backbone.model_copy(update=named))
