"""Maps of objects of many images, by a trained network, in batches."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from tags2masks.config.objectness import Applied
from tags2masks.data.views import WholeImages, size_by_size
from tags2masks.machine import AUTOCAST, Machine
from tags2masks.progress import progress
from tags2masks.store import Entry


def found(
    find: Callable[[nn.Module, Tensor, Applied], Tensor],
    network: nn.Module,
    rows: pd.DataFrame,
    root: Path,
    spec: Applied,
    machine: Machine,
) -> Iterator[Entry]:
    """The store's entries: of every image its map, float16 [1, h, w], and the image's size.

    find: from the network and images [B, 3, H, W] in 0 to 1 to maps [B, 1, h, w]. Images are in
    batches of equal size, not in the order of rows.
    """
    network.to(machine.device).to(memory_format=torch.channels_last)
    names, dtype = rows["image"].tolist(), AUTOCAST[spec.precision]
    loader = size_by_size(WholeImages(rows, root, spec.batch_size), machine.loaders)
    with progress(loader, "find objects", total=len(rows)) as bar, torch.no_grad():
        for numbers, pixels in loader:
            images = pixels.to(machine.device).float() / 255
            with torch.autocast(machine.device, dtype, enabled=dtype is not None):
                maps = find(network, images, spec)
            size = {"size": list(pixels.shape[-2:])}
            for number, scores in zip(numbers, maps.to(torch.float16).cpu().numpy(), strict=True):
                yield names[number], scores, size
            bar.update(len(numbers))
