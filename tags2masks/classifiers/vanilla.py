"""The ordinary multi-label classifier: pooled features, linear head, multi-label soft margin.

With `backbone: {freeze: true}` the head alone learns, from stored features of the images.

The setting that the papers on AdvCAM, RIB, LPCAM, P-NOC and saliency maps share. As there, batch
norm stays in evaluation mode by default.
"""

import torch.nn.functional as F
from torch import Tensor

from tags2masks.config.classifiers import Vanilla
from tags2masks.config.tag_training import TagTraining
from tags2masks.nets.classifier import Classifier
from tags2masks.training import Moment


def build(spec: TagTraining, classes: int) -> Classifier:
    """Return the network, with random weights."""
    network = Classifier(spec.backbone, classes)
    network.backbone.requires_grad_(not spec.backbone.freeze)
    return network


def step(
    network: Classifier, batch: list[Tensor], moment: Moment, spec: Vanilla
) -> dict[str, Tensor]:
    """The loss on a batch: images [B, 3, S, S] in 0 to 255 and multi-hot tags [B, K].

    With a frozen backbone: its pooled features [B, C] in the place of images.
    """
    seen, tags = batch
    frozen = spec.backbone.freeze
    logits = network.of_pooled(seen) if frozen else network(seen.float() / 255)
    return {"loss": tag_loss(logits, tags, spec.label_smoothing)}


def tag_loss(logits: Tensor, tags: Tensor, smoothing: float, reduction: str = "mean") -> Tensor:
    """Multi-label soft margin loss against y(1 − a) + a/2, a being `smoothing`, as in P-NOC's code.

    logits and tags: [B, K]. Returns a number, or [B] with reduction `none`.
    """
    target = tags * (1 - smoothing) + smoothing / 2
    return F.multilabel_soft_margin_loss(logits, target, reduction=reduction)
