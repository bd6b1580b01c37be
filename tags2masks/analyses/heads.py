"""What becomes of an object while one head of a detector is kept: BBAM's mask, both heads' losses.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 5.5 and
figure 5.6 (c). The mask (`maps/bbam.py`) is optimised so that one head's answers alone are
preserved, 1_box or 1_cls of eq. 5.2 being 0, and both heads' terms of the loss are written down.
Where its high values lie is in `metrics/head_places.py`.

Losses are those of `maps/bbam.py`, before each step, without the terms of the mask's size and
variation; their mean is over the objects of which some proposal counts.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tags2masks.config.object_maps import Bbam
from tags2masks.maps import bbam
from tags2masks.maps.objects import Size, Wanted, upsampled
from tags2masks.nets.detector import Detector

COLUMNS = ("kept", "step", "box_loss", "class_loss", "objects")


class Kept(NamedTuple):
    """What became of some objects while one head was kept.

    grids: the mask of each, [h, w] in 0 to 1, None where no proposal counted; losses: float64
    [steps, 2], the sums of the box and the class head's over the other objects; objects: their
    number.
    """

    grids: list[Tensor | None]
    losses: np.ndarray
    objects: int


def keep_head(
    network: Detector, images: Tensor, objects: Sequence[Wanted], spec: Bbam, head: str
) -> Kept:
    """Optimise the objects' masks with only `box` or `class` kept; else as for `bbam.localize`."""
    steps: list[Tensor] = []
    spec = spec.model_copy(update={"heads": head})
    found = bbam.localize(network, images, objects, spec, steps.append)
    losses = np.zeros((spec.steps, 2))
    if steps:
        losses = torch.stack(steps).sum(1).double().cpu().numpy()
    grids = [grid if count else None for grid, count in found]
    return Kept(grids, losses, sum(grid is not None for grid in grids))


def high_pixels(grid: Tensor, size: Size, above: float) -> np.ndarray:
    """Where a mask is above a value, bool [H, W], in the image at its size; grid: [h, w]."""
    return (upsampled(grid.float(), size) > above).cpu().numpy()


def loss_rows(head: str, kept: Sequence[Kept]) -> Iterator[tuple]:
    """The rows (COLUMNS) of a kept head: means over the objects before each step."""
    objects = sum(one.objects for one in kept)
    if objects:
        for step, (of_box, of_class) in enumerate(sum(one.losses for one in kept) / objects):
            yield head, step, of_box, of_class, objects
