"""Maps that a pixel correlation module has refined: what SEAM's published masks are made from.

Source: Wang et al., CVPR 2020 (SEAM); Jonnarth et al. (importance sampling on SEAM). At each scale
the classifier's own module spreads its maps over cells that look alike; the rest is as for CAM.
For `sampling` they are the softmax of what the module makes of its logits, the background's share
left out.
"""

from torch import Tensor

from tags2masks.config.maps import Pcm
from tags2masks.maps.batch import Batch
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.score_maps import normalize


def localize(network: Classifier, batch: Batch, spec: Pcm) -> Tensor:
    """Maps of every class.

    network: one that has `refined_maps`, which the config makes sure of.
    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """
    maps = multi_scale(network.refined_maps, batch.images, spec.scales, spec.flip, spec.stride)
    return normalize(maps)
