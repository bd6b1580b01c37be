"""Random walks of a shard's maps along the affinities of a network, in batches."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tags2masks.config.walks import Walk
from tags2masks.data.views import WholeImages, size_by_size
from tags2masks.machine import Machine
from tags2masks.nets.resize import at_scale
from tags2masks.progress import progress
from tags2masks.store import Entry, Shard

# From the network, images [B, 3, H, W] and their maps to the maps after the walk, and the row of
# the original map of each; -1 is the background.
Refine = Callable[[nn.Module, Tensor, list[np.ndarray], Walk], list[tuple[np.ndarray, np.ndarray]]]


def walked(
    network: nn.Module,
    refine: Refine,
    rows: pd.DataFrame,
    root: Path,
    shard: Shard,
    spec: Walk,
    machine: Machine,
    desc: str,
) -> Iterator[Entry]:
    """Yield the store's entries: the maps of each image after the walk, float16 [N, h, w].

    They are divided by the image's highest score. The attribute `classes` has the class of each;
    null is the background. Several maps of a class are its instances.
    rows: with image, path, height, width, all of them in the shard of maps. Images are in batches
    of equal size, not in the order of rows.
    """
    network.to(machine.device).to(memory_format=torch.channels_last)
    names = rows["image"].tolist()
    loader = size_by_size(WholeImages(rows, root, spec.batch_size), machine.loaders)
    with progress(loader, desc, total=len(rows)) as bar:
        for numbers, pixels in loader:
            read = [shard.read(names[number]) for number in numbers]
            images = at_scale(pixels.to(machine.device).float() / 255, spec.scale)
            with torch.no_grad():
                images = images.contiguous(memory_format=torch.channels_last)
                walks = refine(network, images, [maps for maps, _ in read], spec)
            for number, (scores, of_class), (_, about) in zip(numbers, walks, read, strict=True):
                classes = [*about["classes"], None]  # row -1 is the background
                attributes = {"classes": [classes[row] for row in of_class], "size": about["size"]}
                yield names[number], divided(scores).astype(np.float16), attributes
            bar.update(len(numbers))


def divided(scores: np.ndarray) -> np.ndarray:
    """Scores [N, h, w], divided by the highest of them, if there is one above 0."""
    return scores / scores.max() if scores.size and scores.max() > 0 else scores
