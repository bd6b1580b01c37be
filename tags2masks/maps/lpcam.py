"""Local prototype CAM (Chen & Sun, CVPR 2023, eq. 5 and 6).

The score of a location is its mean cosine to the class's prototypes minus its mean cosine to the
context's prototypes. The mean of cosines to vectors F_i is one product, f/|f| · mean(F_i/|F_i|). So
the prototypes of a class fold into one vector, and LPCAM is a 1×1 convolution, as cheap as CAM.

The paper does not say how scales and flips are merged. Here it is as in CAM: maps are summed after
ReLU, and the sum is divided by its maximum. The public code's mean over scales gives the same
result. With `relu: sum`, ReLU is applied only to the sum. The code sums the features of the image
and its mirror image before the comparison (`flip_features`). It has no ReLU for a class without
context; with non-negative features, as in ResNets, the result is the same.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tags2masks.config.maps import Lpcam
from tags2masks.maps.batch import Batch, empty_maps
from tags2masks.maps.likeness import fold, likeness
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.score_maps import normalize
from tags2masks.prototypes.store import ClassPrototypes


def localize(
    network: Classifier, batch: Batch, spec: Lpcam, *, prototypes: Sequence[ClassPrototypes]
) -> Tensor:
    """Maps of every class.

    prototypes: of every class, in the network's order.
    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    Raises ValueError if features and prototypes differ in their number of channels.
    """
    folded = fold(prototypes, spec.context).to(batch.images.device)
    if not folded.shape[1]:  # no class has a prototype: every feature was zero
        return empty_maps(batch, spec.stride)
    add_features = spec.flip and spec.flip_features

    def score(scaled: Tensor) -> Tensor:
        if not add_features:
            return likeness(network.features(scaled), folded)
        straight, mirrored = network.features(torch.cat([scaled, scaled.flip(-1)])).chunk(2)
        return likeness(straight + mirrored.flip(-1), folded)

    flip = spec.flip and not add_features
    by_scale = spec.relu == "scale"
    total = multi_scale(score, batch.images, spec.scales, flip, spec.stride, rectify=by_scale)
    return normalize(total.relu())
