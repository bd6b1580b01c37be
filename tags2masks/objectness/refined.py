"""Maps of a saliency network that was trained on masks: its probabilities of an object."""

from torch import Tensor, nn

from tags2masks.config.objectness import RefinedMaps
from tags2masks.maps.scales import multi_scale


def find(network: nn.Module, images: Tensor, spec: RefinedMaps) -> Tensor:
    """Maps [B, 1, ceil(H/stride), ceil(W/stride)] in 0 to 1; images: [B, 3, H, W] in 0 to 1.

    The mean probability over scales and flips.
    """
    total = multi_scale(
        lambda scaled: network(scaled).sigmoid(), images, spec.scales, spec.flip, spec.stride
    )
    return total / (len(spec.scales) * (2 if spec.flip else 1))
