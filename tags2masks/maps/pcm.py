"""Maps refined by a classifier's pixel correlation module, as used for SEAM's published masks.

Source: Wang et al., CVPR 2020 (SEAM); Jonnarth et al. (importance sampling on SEAM). At each scale
the classifier's module spreads its maps over cells that look alike; scales and flips are merged as
in CAM. For `sampling` the maps are the softmax of the refined logits, without the background.
"""

from torch import Tensor

from tags2masks.config.maps import Pcm
from tags2masks.maps.batch import Batch
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.score_maps import normalize


def localize(network: Classifier, batch: Batch, spec: Pcm) -> Tensor:
    """Maps of every class.

    network: has `refined_maps`, which the config ensures.
    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """
    maps = multi_scale(network.refined_maps, batch.images, spec.scales, spec.flip, spec.stride)
    return normalize(maps)
