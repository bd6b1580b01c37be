"""The input of map methods: images of one size, their tags, and a seed for each."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tags2masks.maps.scales import stored_size


class Batch(NamedTuple):
    """Images that are localized together.

    images: float [B, 3, H, W] in 0 to 1; tagged: bool [B, K]; seeds: one per image, for all its
    random choices, so that maps do not depend on other images of the batch; names: of the images,
    for methods that look something up.
    """

    images: Tensor
    tagged: Tensor
    seeds: Sequence[int]
    names: Sequence[str] = ()


class Localized(NamedTuple):
    """Maps together with further arrays of the same classes, stored beside them by their names.

    maps: [B, K, h, w] in 0 to 1; only tagged classes are used.
    steps: with `keep_steps` the maps of each step, [B, K, T, h, w], 0 or more, in units of the
    first step's maximum (`scales.in_units_of_first`); NaN for steps that were not made.
    restricted: with `keep_steps` of AdvCAM, where the map of each step but the last restricts the
    next step, [B, K, T - 1, h, w] in 0 to 1.
    passes: mean and highest value of the maps of many random passes, [B, K, 2, h, w] in 0 to 1.
    singles: with `keep_passes` the maps of the first of these passes, [B, K, N, h, w] in 0 to 1.
    """

    maps: Tensor
    steps: Tensor | None = None
    passes: Tensor | None = None
    restricted: Tensor | None = None
    singles: Tensor | None = None


def plain_batch(images: Tensor, classes: int) -> Batch:
    """A batch of images with all tags, for methods that need neither tags nor seeds."""
    count = len(images)
    tagged = torch.ones(count, classes, dtype=torch.bool, device=images.device)
    return Batch(images, tagged, range(count))


def empty_maps(batch: Batch, stride: int) -> Tensor:
    """Zeros for the batch's maps, [B, K, ceil(H/stride), ceil(W/stride)], of the images' dtype."""
    size = stored_size(batch.images.shape[-2:], stride)
    return batch.images.new_zeros((*batch.tagged.shape, *size))
