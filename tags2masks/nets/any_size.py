"""Padding of images for networks that take multiples of some size alone."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ODD = ((70, 90), (33, 47))
"""Sizes that are not multiples of a large power of two."""
CELLS = (32, 64)


def on_any_size(network: nn.Module) -> nn.Module:
    """Make a network accept images of any size, by padding if it needs multiples of some size.

    Some networks, such as dla34 and hrnet_w18, merge maps of several strides and fail if their
    sizes differ. Images are padded at the bottom and right with 0, the mean colour of normalised
    images, so that there are ceil(side / stride) cells. A network for a single image size is
    returned unchanged; `feature_shape` reports it.
    """
    if all(_takes(network, size) for size in ODD):
        return network
    for cell in CELLS:
        if _takes(network, (2 * cell, 3 * cell)):
            kind = type(network)
            network.__class__ = type(kind.__name__, (_Padding, kind), {"cell": cell})
            return network
    return network


class _Padding:
    """A mixin that pads images before the network computes features."""

    def forward_features(self, images: Tensor, *args, **kwargs) -> Tensor:
        return super().forward_features(self._padded(images), *args, **kwargs)

    def forward_intermediates(self, images: Tensor, *args, **kwargs) -> list[Tensor]:
        return super().forward_intermediates(self._padded(images), *args, **kwargs)

    def _padded(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return F.pad(images, (0, -width % self.cell, 0, -height % self.cell))


def _takes(network: nn.Module, size: tuple[int, int]) -> bool:
    training = network.training
    try:
        with torch.no_grad():
            network.eval().forward_features(torch.zeros(1, 3, *size))
    except (AssertionError, RuntimeError, ValueError):
        return False
    finally:
        network.train(training)
    return True
