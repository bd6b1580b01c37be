"""What a classifier says of whole images: average precision on val, and other functions."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tags2masks.config.tag_training import TagTraining
from tags2masks.data.index import multi_hot
from tags2masks.data.views import PlainViews
from tags2masks.machine import Machine
from tags2masks.metrics.classification import average_precisions

BATCH = 32


def plain_views(
    rows: pd.DataFrame, root: Path, classes: list[str], spec: TagTraining
) -> PlainViews:
    """Views of the whole images, resized as this spec's training, with their tags."""
    tags = multi_hot(rows["tags"], classes)
    return PlainViews(rows, root, tags, spec.augment, spec.backbone.mean)


@torch.no_grad()
def applied(
    function: Callable[[Tensor], Tensor], views: PlainViews, machine: Machine
) -> Iterator[Tensor]:
    """A function of every batch of the views, on the CPU; it gets images [B, 3, S, S] in 0 to 1."""
    for images, _ in DataLoader(views, batch_size=BATCH, num_workers=machine.loaders):
        images = images.to(machine.device).float() / 255
        yield function(images.contiguous(memory_format=torch.channels_last)).float().cpu()


def average_precisions_of(network: nn.Module, views: PlainViews, machine: Machine) -> np.ndarray:
    """The average precision of each class, [K], from the network's logits; NaN without images.

    network: on the machine's device, in evaluation mode.
    """
    if not len(views):
        return np.full(views.targets.shape[1], np.nan)
    scores = scores_of(network, views, machine)
    return average_precisions(scores.numpy(), views.targets.numpy())


def scores_of(function: Callable[[Tensor], Tensor], views: PlainViews, machine: Machine) -> Tensor:
    """`applied`, of all views together: [N, …]."""
    return torch.cat(list(applied(function, views, machine)))
