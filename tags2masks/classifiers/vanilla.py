"""The ordinary multi-label classifier: pooled features, linear head, multi-label soft margin.

Sources: methods §0; the setting shared by all five papers. Batch norm stays in evaluation mode by
default, as there.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.classifiers import Vanilla
from tags2masks.nets.classifier import Classifier


def build(spec: Vanilla, classes: int) -> Classifier:
    """The network, with random weights."""
    return Classifier(spec.backbone, classes)


def step(network: nn.Module, batch: list[Tensor]) -> dict[str, Tensor]:
    """The loss on a batch: uint8 images [B, 3, S, S] and multi-hot tags [B, K]."""
    images, tags = batch
    return {"loss": F.multilabel_soft_margin_loss(network(images.float() / 255), tags)}
