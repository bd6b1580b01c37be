"""What a map method is given: images of one size, their tags, and a seed for each."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tags2masks.maps.scales import stored_size


class Batch(NamedTuple):
    """Images that are localized together.

    images: float [B, 3, H, W] in 0 to 1; tagged: bool [B, K]; seeds: one per image, from which
    comes every random choice for it, so that its maps don't depend on its neighbours.
    """

    images: Tensor
    tagged: Tensor
    seeds: Sequence[int]


class Localized(NamedTuple):
    """Maps with those of the steps that they were made in, where a method keeps them.

    maps: [B, K, h, w] in 0 to 1, of which the tagged ones count. steps: [B, K, T, h, w], 0 or
    more, in units of the first step's maximum (`scales.in_units_of_first`); NaN for steps that
    were not made.
    """

    maps: Tensor
    steps: Tensor


def plain_batch(images: Tensor, classes: int) -> Batch:
    """The images with every tag, for methods and uses that need no more."""
    count = len(images)
    tagged = torch.ones(count, classes, dtype=torch.bool, device=images.device)
    return Batch(images, tagged, range(count))


def empty_maps(batch: Batch, stride: int) -> Tensor:
    """Zeros for the batch's maps, [B, K, ceil(H/stride), ceil(W/stride)], of the images' dtype."""
    size = stored_size(batch.images.shape[-2:], stride)
    return batch.images.new_zeros((*batch.tagged.shape, *size))
