"""How like features are to a class's prototypes, as LPCAM has it (Chen & Sun, CVPR 2023, eq. 5)."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tags2masks.prototypes.store import ClassPrototypes


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
