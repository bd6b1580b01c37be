"""Maps of AMN (Lee, Kim & Shim, CVPR 2022): probabilities of cells, each class's from 0 to 1.

The classifier is told the image's tags. Logits are averaged over scales and mirror images, softmax
is over the background and all classes. `sure_background: raw` is in the public code alone: where
the masks that the classifier learned from are background, probabilities are left as they are.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tags2masks.config.maps import AmnMaps
from tags2masks.maps.batch import Batch
from tags2masks.maps.label_gate import probabilities, stretched
from tags2masks.mask_ids import IGNORED
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.resize import at_cells


def localize(
    network: Classifier,
    batch: Batch,
    spec: AmnMaps,
    *,
    masks: Callable[[str], np.ndarray | None] | None = None,
) -> Tensor:
    """Maps of every class.

    network: has `gated_logits`, which the config ensures; masks: for `raw`, by an image's name
    uint8 [H, W], or None for an image without. Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0
    to 1, all zero where a class is equally likely everywhere.
    """
    shares = probabilities(network, batch, spec)
    if masks is None:
        return stretched(shares)
    labels = torch.full(batch.images[:, 0].shape, IGNORED, dtype=torch.uint8)
    for row, name in enumerate(batch.names):
        if (mask := masks(name)) is not None:
            labels[row] = torch.from_numpy(mask)
    return raw_on_background(shares, labels.to(shares.device))


def raw_on_background(shares: Tensor, labels: Tensor) -> Tensor:
    """Probabilities [B, K, h, w] stretched but where labels, uint8 [B, H, W], are background."""
    background = at_cells(labels, shares.shape[-2:]) == 0
    return torch.where(background[:, None], shares, stretched(shares))
