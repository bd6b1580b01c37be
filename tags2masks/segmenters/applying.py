"""Segmenting a table of images with a trained model, batch by batch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader

from tags2masks.config.segmenters import Test
from tags2masks.data.views import WholeImages
from tags2masks.progress import progress
from tags2masks.segmenters.inference import predict
from tags2masks.training import Machine


def segmented(
    network: nn.Module, rows: pd.DataFrame, root: Path, test: Test, machine: Machine
) -> Iterator[tuple[str, np.ndarray, dict]]:
    """(image, uint8 [H, W], attributes) of every row; rows have image, path, height, width."""
    network.requires_grad_(False).to(machine.device).to(memory_format=torch.channels_last)
    images = rows["image"].tolist()
    loader = DataLoader(
        WholeImages(rows, root, test.batch_size), batch_size=None, num_workers=machine.loaders
    )
    with progress(loader, "segment", total=len(rows)) as bar:
        for numbers, batch in loader:
            labels = predict(network, batch.to(machine.device).float() / 255, test).cpu().numpy()
            for number, mask in zip(numbers, labels, strict=True):
                yield images[number], mask, {"size": list(mask.shape)}
            bar.update(len(numbers))
