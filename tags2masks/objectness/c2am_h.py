"""Maps of C²AM with hints (David et al., P-NOC, 2023): those of C²AM. Hints tell the foreground."""

from torch import Tensor

from tags2masks.config.objectness import C2amHMaps
from tags2masks.objectness.contrasted import find_foreground
from tags2masks.saliency_networks.contrast import ContrastNetwork


def find(network: ContrastNetwork, images: Tensor, spec: C2amHMaps) -> Tensor:
    """Maps [B, 1, ceil(H/stride), ceil(W/stride)] in 0 to 1; images: [B, 3, H, W] in 0 to 1."""
    return find_foreground(network, images, spec)
