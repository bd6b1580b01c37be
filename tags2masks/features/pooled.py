"""The mean of a backbone's last features over an image: all that pooling and a linear head need.

Each image is seen once, as a classifier sees those of val: whole, centred on the mean colour.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader

from tags2masks.config.features import Pooled
from tags2masks.config.training import Augment
from tags2masks.data.views import PlainViews
from tags2masks.machine import AUTOCAST, Machine
from tags2masks.nets.classifier import Classifier
from tags2masks.progress import progress
from tags2masks.store import Entry

BATCH = 32


def build(spec: Pooled) -> Classifier:
    """A network with `pooled` and `backbone`, with random weights; its head is not used."""
    return Classifier(spec.backbone, 1).requires_grad_(False).eval()


def pooled(
    network: nn.Module, rows: pd.DataFrame, root: Path, spec: Pooled, machine: Machine
) -> Iterator[Entry]:
    """The store's entries: of every image float32 [V, C], the view's and its mirror image's."""
    augment = Augment(resize=(spec.side, spec.side), crop=spec.crop, square=spec.square)
    none = np.zeros((len(rows), 0), np.float32)
    views = PlainViews(rows, root, none, augment, spec.backbone.mean)
    names, dtype = iter(rows["image"].tolist()), AUTOCAST[spec.precision]
    network.to(machine.device).to(memory_format=torch.channels_last)
    loader = DataLoader(views, batch_size=BATCH, num_workers=machine.loaders)
    with progress(loader, "features", total=len(rows)) as bar, torch.no_grad():
        for images, _ in loader:
            images = images.to(machine.device).float() / 255
            images = images.contiguous(memory_format=torch.channels_last)
            seen = [images, images.flip(-1)] if spec.mirror else [images]
            with torch.autocast(machine.device, dtype, enabled=dtype is not None):
                features = torch.stack([network.pooled(view) for view in seen], 1)
            for vectors in features.float().cpu().numpy():
                yield next(names), vectors, {}
            bar.update(len(images))
