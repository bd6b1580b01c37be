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

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tags2masks.config.maps import Lpcam
from tags2masks.maps.batch import Batch, empty_maps
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


def likeness(features: Tensor, folded: Tensor) -> Tensor:
    """Return f/|f| · v at every location, for every row v of `folded`.

    features: [B, C, h, w], any scale; folded: float32 [K, C]. Returns float32 [B, K, h, w], −2 to
    2; 0 for features of zeros. Raises ValueError if the channel counts differ.
    """
    if features.shape[1] != folded.shape[1]:
        raise ValueError(
            f"features of {features.shape[1]} channels, prototypes of {folded.shape[1]}"
        )
    # Not in half precision: two nearly equal means are subtracted.
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        lengths = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return F.conv2d(features, folded[..., None, None]) / lengths.clamp_min(1e-12)


def fold(prototypes: Sequence[ClassPrototypes], context: bool) -> Tensor:
    """Return mean(F_i/|F_i|) − mean(B_j/|B_j|) over each class's chosen prototypes: float32 [K, C].

    context: whether to subtract the second term (false: LPCAM-F); it is 0 for a class without
    chosen context. Zeros for a class without own prototypes; C is 0 if no class has any.
    """
    channels = max(of_class.vectors.shape[1] for of_class in prototypes)
    folded = np.zeros((len(prototypes), channels))
    for row, of_class in zip(folded, prototypes, strict=True):
        lengths = np.linalg.norm(of_class.vectors.astype(np.float64), axis=1, keepdims=True)
        vectors = of_class.vectors / np.maximum(lengths, 1e-12)
        own, around = (
            vectors[of_class.chosen & ~of_class.context],
            vectors[of_class.chosen & of_class.context],
        )
        if len(own):
            row += own.mean(0)
            if context and len(around):
                row -= around.mean(0)
    return torch.from_numpy(folded.astype(np.float32))
