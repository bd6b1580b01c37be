"""C²AM's maps (Xie et al., CVPR 2022): its logits, positive ones alone, summed over scales.

As in the public code logits are used, not shares; the sum over flips and scales is divided by its
maximum. Where the network's foreground is the background, maps are of −logit. The public code has
1 − logit there, which lets more in on that side: `inverted: complement`.
"""

from torch import Tensor

from tags2masks.config.objectness import C2amMaps
from tags2masks.objectness.contrasted import find_foreground
from tags2masks.saliency_networks.contrast import ContrastNetwork


def find(network: ContrastNetwork, images: Tensor, spec: C2amMaps) -> Tensor:
    """Maps [B, 1, ceil(H/stride), ceil(W/stride)] in 0 to 1; images: [B, 3, H, W] in 0 to 1."""
    offset = 1.0 if spec.inverted == "complement" else 0.0
    return find_foreground(network, images, spec, offset)
