"""A training task of any stage: its inputs, and running it.

What differs between stages is in the module `learning` of the stage's package. It has

- `views(task) -> Dataset`: the training examples, indexed by a `Draw`;

and optionally

- `begin(task, network, views)`: called before training, with the network at its initial weights;
- `consulted(task) -> nn.Module | None`: a second network that training steps use;
- `measure(task) -> Measure`: a measurement after each epoch;
- `finish(task, network, second)`: called in the main process after training.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import ModuleType

import pandas as pd
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tags2masks.checkpoints import State
from tags2masks.config.training import Training
from tags2masks.data.index import images_sha, rows_of
from tags2masks.errors import UserError
from tags2masks.machine import Machine, is_main_process
from tags2masks.methods import learning_module, method_block, method_module, package_of
from tags2masks.nets.backbones import fill, load_initial_weights, read_weights
from tags2masks.progress import progress
from tags2masks.training import epoch_batches, fit
from tags2masks.workflow.ids import artifact_id, canonical, digest, file_digest


@dataclass(frozen=True)
class Task:
    """The inputs of a training.

    recipe: the recipe of the artifact; free: the fields of its block that are not in recipes.
    index: from `read_index`; root: the folder that its paths are relative to.
    model: the output file of the network; checkpoints are stored beside it.
    files: for each stage upstream, its shards in order, or its model with spec.json beside it.
    weights: the file of `backbone.weights`, if it names one.
    labelled, mask_root: the table of training images with true masks, and the folder of these, for
        methods that learn from masks.
    boxes: the table of the training images' boxes, for methods that learn from them; val_boxes:
        that of val's, which are measured after epochs.
    candidates, candidate_root: the index of candidates for out-of-distribution images, and the
        folder of these, for methods that learn from them; keep: a person's answers on them.
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
    labelled: Path | None = None
    mask_root: Path | None = None
    candidates: pd.DataFrame | None = None
    candidate_root: Path | None = None
    keep: Path | None = None
    boxes: Path | None = None
    val_boxes: Path | None = None

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
        """The files and the id of the upstream artifact of a stage.

        Raises UserError if the recipe has none, or if its files are not given.
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

    @cached_property
    def state(self) -> State:
        """The folder and fingerprint of checkpoints of this recipe and code, and of what it reads.

        Files count by their bytes: those of an artifact may be others under the same id, as when
        the boxes that its masks come from were drawn anew. So do tags and the order of classes.
        """
        train = self.rows("train")
        used = [train, *([] if self.candidates is None else [self.candidates])]
        read = [*chain(*self.files.values()), self.weights, self.labelled, self.keep, self.boxes]
        parts = [*map(images_sha, used), *(file_digest(str(path)) for path in read if path)]
        parts.append(canonical([self.classes, train["tags"].map(list).tolist()]))
        fingerprint = "-".join([artifact_id(self.recipe), self.source, digest("-".join(parts))])
        return State(self.model.parent / "state", fingerprint)


def train(task: Task) -> tuple[nn.Module, list[dict[str, float]]]:
    """Train the task's network, and return it with the rows of `fit`.

    Call `machine.prepare` with the recipe's seed before, because initial weights are random. Raises
    UserError for files that do not match the recipe.
    """
    stage = learning_module(package_of(task.recipe))
    network = task.method.build(task.spec, len(task.classes))
    _initialize(network.backbone, task)
    views = stage.views(task)
    if hasattr(stage, "begin"):
        stage.begin(task, network, views)
    second = stage.consulted(task) if hasattr(stage, "consulted") else None
    further = {"measure": stage.measure(task)} if hasattr(stage, "measure") else {}
    rows = fit(
        network,
        views,
        task.method.step,
        task.spec,
        task.recipe["seed"],
        task.machine,
        task.state,
        second=second,
        **further,
    )
    if hasattr(stage, "finish") and is_main_process():
        stage.finish(task, network, second)
    return network, rows


def further_views(task: Task, views: Dataset, desc: str) -> Iterator[list[Tensor]]:
    """Another random view of each training image, in batches: those of the epoch after the last."""
    machine, spec = task.machine, task.spec
    draws = epoch_batches(len(views), spec.batch_size, task.recipe["seed"], spec.epochs, 0, 1)
    loader = DataLoader(views, batch_sampler=draws, num_workers=machine.loaders)
    for batch in progress(loader, desc, unit="batch"):
        yield [tensor.to(machine.device) for tensor in batch]


def _initialize(backbone: nn.Module, task: Task) -> None:
    """Load a backbone's initial weights, from the upstream classifier or as `weights` says."""
    if getattr(task.spec, "init_from_classifier", False) or getattr(task.spec, "start", None):
        (classifier,), _ = task.upstream("classifier")
        state = read_weights(classifier, "delete it and run again")
        inner = {name.removeprefix("backbone."): tensor for name, tensor in state.items()}
        fill(backbone, inner, str(classifier))
        return
    named = {"weights": str(task.weights)} if task.weights else {}
    load_initial_weights(backbone, task.spec.backbone.model_copy(update=named))
