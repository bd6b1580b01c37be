"""The input of map methods: images of one size, their tags, and a seed for each."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tags2masks.maps.scales import stored_size


class Batch(NamedTuple):
    """Images that are localized together.

    images: float [B, 3, H, W] in 0 to 1; tagged: bool [B, K]; seeds: one per image, for all its
    random choices, so that maps do not depend on other images of the batch.
    """

    images: Tensor
    tagged: Tensor
    seeds: Sequence[int]


class Localized(NamedTuple):
    """Maps together with the maps of each step, for methods with `keep_steps`.

    maps: [B, K, h, w] in 0 to 1; only tagged classes are used. steps: [B, K, T, h, w], 0 or more,
    in units of the first step's maximum (`scales.in_units_of_first`); NaN for steps that were not
    made.
    """

    maps: Tensor
    steps: Tensor


def plain_batch(images: Tensor, classes: int) -> Batch:
    """A batch of images with all tags, for methods that need neither tags nor seeds."""
    count = len(images)
    tagged = torch.ones(count, classes, dtype=torch.bool, device=images.device)
    return Batch(images, tagged, range(count))


def empty_maps(batch: Batch, stride: int) -> Tensor:
    """Zeros for the batch's maps, [B, K, ceil(H/stride), ceil(W/stride)], of the images' dtype."""
    size = stored_size(batch.images.shape[-2:], stride)
    return batch.images.new_zeros((*batch.tagged.shape, *size))
