"""Random walks of a shard's maps along the affinities of a network, in batches."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tags2masks.config.masks import Walk
from tags2masks.data.views import WholeImages
from tags2masks.machine import Machine
from tags2masks.masks.walked import Walked
from tags2masks.nets.resize import at_scale
from tags2masks.store import Shard

# From the network, images [B, 3, H, W] and their maps to the maps after the walk, and the row of
# the original map of each; -1 is the background.
Refine = Callable[[nn.Module, Tensor, list[np.ndarray], Walk], list[tuple[np.ndarray, np.ndarray]]]


def walked(
    network: nn.Module,
    refine: Refine,
    rows: pd.DataFrame,
    root: Path,
    shard: Shard,
    ids: dict[str, int],
    spec: Walk,
    machine: Machine,
) -> Iterator[Walked]:
    """Yield the maps of each image after the walk.

    rows: with image, path, height, width, all of them in the shard of maps; ids: mask id by class
    name. Images are in batches of equal size, not in the order of rows.
    """
    network.to(machine.device).to(memory_format=torch.channels_last)
    names = rows["image"].tolist()
    batches = WholeImages(rows, root, spec.batch_size)
    for numbers, pixels in DataLoader(batches, batch_size=None, num_workers=machine.loaders):
        read = [shard.read(names[number]) for number in numbers]
        images = at_scale(pixels.to(machine.device).float() / 255, spec.scale)
        with torch.no_grad():
            images = images.contiguous(memory_format=torch.channels_last)
            walks = refine(network, images, [maps for maps, _ in read], spec)
        for number, (scores, of_class), (_, about) in zip(numbers, walks, read, strict=True):
            # The last one is for background, whose row is -1.
            class_ids = np.array([*(ids[name] for name in about["classes"]), 0], np.uint8)
            size = tuple(about["size"])
            yield Walked(names[number], batches.paths[number], scores, class_ids[of_class], size)
