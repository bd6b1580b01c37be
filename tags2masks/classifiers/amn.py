"""AMN: a classifier of pixels that learns from pseudo-masks and is told the image's tags.

Source: Lee, Kim & Shim, "Threshold matters in WSSS: manipulating the activation for the robust and
accurate segmentation model against thresholds", CVPR 2022. Last features are multiplied by a gate,
a linear layer of the tags; ASPP gives logits of background and classes. The loss is cross entropy
with the masks that the entry follows: target 1 − ε for a cell's label, ε shared by the others; half
the mean over cells of background plus half the mean over cells of a class, each over the batch.
Masks are shrunk to the grid of the features.

Differs from the public code: dropout is off after training (there it stays on, so that maps are
random); cells of 255 are ignored, and a batch without a cell of one kind has no loss of that kind
(there NaN); the label of a cell is that of its middle pixel; AdamW (there Adam).

Its maps, by method `cam` or `amn`, are told the tags. Where none are told, for the mean average
precision and other map methods, the gate is of all classes, and a class's score is its logit less
the background's, averaged for the whole image.
"""

from functools import partial

import torch
from torch import Tensor, nn

from tags2masks.config.hosts import Amn
from tags2masks.data.index import multi_hot
from tags2masks.data.masked import MaskedViews
from tags2masks.data.views import Draw
from tags2masks.labels import labelled_views
from tags2masks.mask_ids import IGNORED
from tags2masks.nets.aspp import Aspp
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.resize import at_cells
from tags2masks.task import Task
from tags2masks.training import Moment


class GatedClassifier(Classifier):
    """A classifier of cells whose features are multiplied by a linear function of the tags.

    images: [B, 3, H, W] in 0 to 1; normalisation is part of the network.
    """

    forward_methods = ("score_all", "gated_logits")

    def __init__(self, spec: Amn, classes: int):
        super().__init__(spec.backbone, classes)
        channels = self.head.in_channels
        self.gate = nn.Linear(classes, channels)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = Aspp(channels, classes + 1, spec.rates)

    def gated_logits(self, images: Tensor, tags: Tensor) -> Tensor:
        """Logits of background and classes [B, K + 1, h, w]; tags: [B, K], 1 for those present."""
        return self._logits(self.features(images), tags)

    def _logits(self, features: Tensor, tags: Tensor) -> Tensor:
        gate = self.gate(tags.to(self.gate.weight.dtype))[:, :, None, None]
        return self.head(self.dropout(features * gate))

    def score_maps(self, features: Tensor) -> Tensor:
        """Logits less the background's [B, K, h, w], without being told any tags."""
        tags = features.new_ones(len(features), self.gate.in_features)
        logits = self._logits(features, tags)
        return logits[:, 1:] - logits[:, :1]

    def vector_scores(self, vectors: Tensor) -> Tensor:
        """`score_maps` where a feature [n, C] is all around, by the sum of all taps: [n, K]."""
        gate = self.gate(vectors.new_ones(len(vectors), self.gate.in_features))
        weight = sum(branch.weight.sum((2, 3)) for branch in self.head.branches)
        bias = sum(branch.bias for branch in self.head.branches)
        logits = (vectors * gate) @ weight.T + bias
        return logits[:, 1:] - logits[:, :1]

    def logits(self, features: Tensor) -> Tensor:
        """The means of `score_maps`, [B, K]."""
        return self.score_maps(features).mean((2, 3))

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers, which learn with the higher rate."""
        return [*self.gate.parameters(), *self.head.parameters()]


class TaggedMasks(MaskedViews):
    """`MaskedViews` with the images' tags: (uint8 [3, S, S], uint8 [S, S], float [K])."""

    def __init__(self, rows, *args, classes: list[str]):
        super().__init__(rows, *args)
        self.targets = torch.from_numpy(multi_hot(rows["tags"], classes))

    def _view(self, row: int, seeds: Draw) -> tuple[Tensor, Tensor, Tensor]:
        return *super()._view(row, seeds), self.targets[row]


def views(task: Task) -> TaggedMasks:
    """Random views with masks and tags. Raises UserError as `labels.labelled_views`."""
    return labelled_views(task, "masks", partial(TaggedMasks, classes=task.classes))


def build(spec: Amn, classes: int) -> GatedClassifier:
    """Return the network, with random weights."""
    return GatedClassifier(spec, classes)


def step(
    network: GatedClassifier, batch: list[Tensor], moment: Moment, spec: Amn
) -> dict[str, Tensor]:
    """The loss on a batch: uint8 images [B, 3, S, S], labels [B, S, S] and tags [B, K]."""
    images, labels, tags = batch
    logits = network.gated_logits(images.float() / 255, tags).float()
    labels = at_cells(labels, logits.shape[-2:]).long()
    known = labels != IGNORED
    with torch.no_grad():
        agreement = ((logits.argmax(1) == labels) & known).sum() / known.sum().clamp(min=1)
    loss = balanced_cross_entropy(logits, labels, spec.smoothing)
    return {"loss": loss, "cell_agreement": agreement}


def balanced_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Half the mean over cells of background plus half the mean over cells of classes.

    logits: [B, K + 1, h, w]; labels: int [B, h, w], 255 ignored; smoothing: ε, of which each of the
    K other labels has an equal share of a cell's target. A kind without cells has no part.
    """
    log_shares = logits.log_softmax(1)
    known = labels != IGNORED
    of_label = log_shares.gather(1, (labels * known)[:, None])[:, 0]
    of_others = (log_shares.sum(1) - of_label) / (logits.shape[1] - 1)
    losses = -(1 - smoothing) * of_label - smoothing * of_others
    background, classes = labels == 0, known & (labels != 0)
    return (
        sum((losses * kind).sum() / kind.sum().clamp(min=1) for kind in (background, classes)) / 2
    )
