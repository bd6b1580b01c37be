"""How features of tagged and out-of-distribution images part while W-OoD trains.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 4.4 and
figure 4.7: pooled features after each epoch, in two dimensions by t-SNE; epoch 0 is the ordinary
classifier. An out-of-distribution image is of the class that the ordinary classifier takes it for.

The thesis has two classes, and does not say how features of different epochs are embedded. Here all
classes are, and one embedding has the features of all epochs, so that panels can be compared. Of a
tagged image's classes its own is the one that the ordinary classifier gives the highest logit.
Images are whole, as when centres are computed (`wood.py`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from tags2masks.classifiers.learning import ordinary
from tags2masks.classifiers.validation import plain_views, scores_of
from tags2masks.classifiers.wood import images_of, used_rows
from tags2masks.data.index import spaced
from tags2masks.data.ood_images import PlainOod
from tags2masks.metrics.plane import embedded
from tags2masks.nets.trained import load_epoch
from tags2masks.task import Task
from tags2masks.workflow.ids import artifact_id

KINDS = ("tagged", "ood")
COLUMNS = ("epoch", "kind", "image", "class", "x", "y")


def embedding(task: Task, states: Sequence[Path], count: int) -> pd.DataFrame:
    """The place in the plane of every image after every epoch, with COLUMNS.

    task: of the training, whose model is beside its spec.json; states: its checkpoints, in order;
    count: of each of KINDS, evenly spaced; tagged images without a tag are left out.
    Raises UserError for a file that cannot be read or does not match the recipe.
    """
    tagged, others, images = _images(task, count)
    first = ordinary(task).to(task.machine.device).to(memory_format=torch.channels_last)
    logits = [scores_of(first, of, task.machine) for of in (tagged, others)]
    owns = (tagged.targets > 0, torch.ones_like(logits[1], dtype=torch.bool))
    numbers = [likeliest(*pair) for pair in zip(logits, owns, strict=True)]
    images["class"] = [task.classes[number] for number in torch.cat(numbers)]
    features, tables = [], []
    for epoch, network in enumerate(_networks(task, first, states)):
        features += [scores_of(network.pooled, of, task.machine) for of in (tagged, others)]
        tables.append(images.assign(epoch=epoch))
    table = pd.concat(tables, ignore_index=True)
    table[["x", "y"]] = embedded(torch.cat(features).numpy(), task.recipe["seed"])
    return table[list(COLUMNS)]


def _images(task: Task, count: int) -> tuple[Dataset, Dataset, pd.DataFrame]:
    """Plain views of the tagged and of the other images; their kinds and names in this order."""
    train, (used, _) = task.rows("train"), used_rows(task)
    rows = train[train["tags"].map(len) > 0]
    rows = rows[rows["image"].isin(spaced(rows["image"].tolist(), count))]
    used = used[used["image"].isin(spaced(used["image"].tolist(), count))].reset_index(drop=True)
    names = [
        pd.DataFrame({"kind": kind, "image": of["image"]})
        for kind, of in zip(KINDS, (rows, used), strict=True)
    ]
    tagged = plain_views(rows, task.root, task.classes, task.spec)
    others = PlainOod(images_of(task, used), task.spec.augment)
    return tagged, others, pd.concat(names, ignore_index=True)


def _networks(task: Task, first: nn.Module, states: Sequence[Path]) -> Iterator[nn.Module]:
    """The ordinary classifier, and the network of each checkpoint."""
    yield first
    spec, upstream = task.model.with_name("spec.json"), {"classifier": artifact_id(task.recipe)}
    for state in states:
        network, _ = load_epoch("classifier", state, spec, upstream)
        yield network.to(task.machine.device).to(memory_format=torch.channels_last)


def likeliest(logits: Tensor, own: Tensor) -> Tensor:
    """The number of the class of the highest logit among an image's own; both are [N, K]."""
    return logits.masked_fill(~own, -torch.inf).argmax(1)
