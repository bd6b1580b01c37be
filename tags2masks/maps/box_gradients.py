"""Maps of objects by gradients of what a detector says of their positive proposals.

Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 5.5, compares
BBAM with such maps and does not say of what output they are. Here it is the logit of the object's
class, in the mean over its proposals.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tags2masks.config.object_maps import ObjectMaps
from tags2masks.maps.gradients import stored
from tags2masks.maps.objects import Wanted
from tags2masks.maps.positives import find_positives
from tags2masks.nets.detector import Detector, Levels, padded


class Asked(NamedTuple):
    """Objects of which some proposal counts, and these proposals, float [P, 4] of each."""

    objects: list[Wanted]
    boxes: list[Tensor]

    @property
    def images(self) -> list[int]:
        """The number of each object's image in the batch."""
        return [wanted.image for wanted in self.objects]


def each_object(
    network: Detector,
    images: Tensor,
    objects: Sequence[Wanted],
    spec: ObjectMaps,
    attribution: Callable[[Asked], Tensor],
) -> list[tuple[Tensor, int]]:
    """The map of each object, float32 [h, w] in 0 to 1, and its number of proposals.

    network: in evaluation mode, without gradients; images: [B, 3, H, W] in 0 to 1. attribution: of
    O objects a value of 0 or more for every pixel, [O, H, W]; `stride` pixels become a cell, their
    mean, and the grid is read between the cells at the places of maps of objects, whose corners lie
    on the image's. Each map is divided by its maximum. An object without a proposal that counts has
    a map of zeros.
    """
    positives = find_positives(network, network.normalize(images), objects, spec)
    counts = [len(found.boxes) for found in positives]
    known = [number for number, count in enumerate(counts) if count]
    maps = torch.zeros(len(objects), *images.shape[-2:], device=images.device)
    if known:
        asked = Asked([objects[n] for n in known], [positives[n].boxes for n in known])
        maps[known] = attribution(asked)
    return list(zip(_from_corner_to_corner(maps, spec.stride), counts, strict=True))


def _from_corner_to_corner(maps: Tensor, stride: int) -> Tensor:
    """`stored` maps [O, H, W], read where the outer cells' centres are the image's corners."""
    cells = stored(maps, stride)
    down, across = (
        (2 * torch.linspace(0, pixels - 1, count, device=maps.device) + 1) / pixels - 1
        for pixels, count in zip(maps.shape[-2:], cells.shape[-2:], strict=True)
    )
    places = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)
    grids = F.grid_sample(
        cells[:, None], places.expand(len(cells), -1, -1, -1), padding_mode="border",
        align_corners=False,
    )[:, 0]  # fmt: skip
    return grids / grids.amax((-2, -1), keepdim=True).clamp_min(torch.finfo(grids.dtype).tiny)


def class_scores(network: Detector, levels: Levels, asked: Asked, size: tuple[int, int]) -> Tensor:
    """The logit of each object's class, the mean over its proposals: [O].

    levels: of an image for each object; size: (height, width) of the images.
    """
    logits, _ = network.raw_answers(levels, asked.boxes, [size] * len(asked.boxes))
    parts = logits.split([len(own) for own in asked.boxes])
    return torch.stack(
        [part[:, wanted.number].mean() for part, wanted in zip(parts, asked.objects, strict=True)]
    )


def pixel_gradients(network: Detector, images: Tensor, asked: Asked) -> Tensor:
    """|∂ class score / ∂ image| of each object, the maximum over the colours: [O, H, W].

    images: in 0 to 1, one for each object. Objects do not influence each other.
    """
    pixels = images.detach().requires_grad_()
    levels = network.pyramid(padded(network.normalize(pixels)))
    scores = class_scores(network, levels, asked, tuple(images.shape[-2:]))
    (gradient,) = torch.autograd.grad(scores.sum(), pixels)
    return gradient.abs().amax(1)
