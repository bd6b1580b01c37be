"""Average precision of a classifier on images that it was not trained on."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader

from tags2masks.config.classifiers import TagTraining
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
def average_precisions_of(network: nn.Module, views: PlainViews, machine: Machine) -> np.ndarray:
    """The average precision of each class, [K], from the network's logits; NaN without images.

    network: on the machine's device, in evaluation mode.
    """
    if not len(views):
        return np.full(views.targets.shape[1], np.nan)
    scores = []
    for images, _ in DataLoader(views, batch_size=BATCH, num_workers=machine.loaders):
        images = images.to(machine.device).float() / 255
        scores.append(network(images.contiguous(memory_format=torch.channels_last)))
    return average_precisions(torch.cat(scores).float().cpu().numpy(), views.targets.numpy())
