"""Maps of C²AM's network, for C²AM with and without hints."""

from torch import Tensor

from tags2masks.config.objectness import Contrasted
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.score_maps import normalize
from tags2masks.saliency_networks.contrast import ContrastNetwork


def find_foreground(
    network: ContrastNetwork, images: Tensor, spec: Contrasted, offset: float = 0.0
) -> Tensor:
    """Positive logits, summed over scales and flips, over their maximum plus 1e-5.

    Of an inverted network `offset` − logit counts. Returns [B, 1, h, w] in 0 to 1.
    """

    def score(scaled: Tensor) -> Tensor:
        logits = network.logits(scaled)
        return offset - logits if network.inverted else logits

    return normalize(multi_scale(score, images, spec.scales, spec.flip, spec.stride))
