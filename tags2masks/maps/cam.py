"""Class activation maps (Zhou et al., CVPR 2016), multi-scale as in IRN's public code.

With a bias-free linear head on average-pooled features, w_c·f at a location is that location's
contribution to the logit of class c.

A classifier of cells that is told the tags (`amn`) has no such head: its maps are its own, see
`maps/label_gate.py`.
"""

from torch import Tensor

from tags2masks.config.maps import Cam
from tags2masks.maps.batch import Batch
from tags2masks.maps.label_gate import gated_maps
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.score_maps import normalize


def localize(network: Classifier, batch: Batch, spec: Cam) -> Tensor:
    """Maps of every class.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """
    if hasattr(network, "gated_logits"):
        return gated_maps(network, batch, spec)

    def score(scaled: Tensor) -> Tensor:
        return network.score_maps(network.features(scaled))

    return normalize(multi_scale(score, batch.images, spec.scales, spec.flip, spec.stride))
