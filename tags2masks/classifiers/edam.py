"""EDAM: a classifier that compares two images of a class through that class's mask.

Source: Wu et al., "Embedded discriminative attention mechanism for weakly supervised semantic
segmentation", CVPR 2021. A 3 × 3 convolution gives each cell as many channels as there are classes
and one more; the absolute values of this vector at length 1 are the masks. Of each class, features
of fewer channels are multiplied by its mask, positions and which image it is are added, and one
transformer block of that class sees the cells of two images that share a class. The mean of what it
gives over an image's cells, times a vector, is the image's logit. The loss is binary cross entropy
of the logits of both images.

`score_maps` are the masks, so that method `cam` of maps is the paper's: masks summed over scales
and mirror images, each class divided by its maximum. Its seeds are `saliency_cut` with
`background: cut` of these. Without a partner, for the mean average precision and map methods that
need a logit, the block sees the cells of one image.

LPCAM's row "EDAM" is not of this classifier: as its author says, it is the saliency cut on LPCAM of
an ordinary one, `vanilla / lpcam / cut`.

Differs from the public code: pairs are drawn anew in every epoch (there a published list of 25
epochs): of each training image and a random other one of a random class of its tags; an image whose
classes no other image has is paired with another view of itself. All classes are compared in every
pair, as there on VOC. Batch norm's statistics are fixed, there its weights too, and the first
blocks; the rate rises from 0, there from a tenth. The transformer block is timm's.
"""

import math

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.hosts import Edam
from tags2masks.data.index import multi_hot
from tags2masks.data.paired import PairedViews
from tags2masks.machine import is_main_process
from tags2masks.nets.classifier import Classifier
from tags2masks.task import Task
from tags2masks.training import Moment


class PairClassifier(Classifier):
    """A classifier whose transformer blocks, one of each class, see the cells of two images.

    images: [B, 3, H, W] in 0 to 1; normalisation is part of the network.
    """

    forward_methods = ("pair_logits",)

    def __init__(self, spec: Edam, classes: int):
        super().__init__(spec.backbone, classes)
        channels, width = self.head.in_channels, spec.width
        self.head = nn.Conv2d(channels, classes + 1, 3, padding=1, bias=False)
        self.reduce = nn.Conv2d(channels, width, 1, bias=False)
        self.image = nn.Embedding(2, width)
        self.dropout = nn.Dropout(spec.dropout)
        self.blocks = nn.ModuleList(
            Block(width, spec.heads, qkv_bias=True, attn_drop=spec.dropout, proj_drop=spec.dropout)
            for _ in range(classes)
        )
        self.weights = nn.Parameter(torch.empty(classes, width))
        for parameter in (self.head.weight, self.reduce.weight, self.image.weight):
            nn.init.xavier_uniform_(parameter)
        for parameter in self.blocks.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        bound = math.sqrt(6 / (width + 1))  # xavier for each class on its own
        nn.init.uniform_(self.weights, -bound, bound)

    def score_maps(self, features: Tensor) -> Tensor:
        """The masks of the classes [B, K, h, w], 0 to 1; squares of all and one more sum to 1."""
        return F.normalize(self.head(features), dim=1).abs()[:, :-1]

    def vector_scores(self, vectors: Tensor) -> Tensor:
        """Scores where a feature [n, C] is all around, before they become masks: [n, K].

        By the sum of all taps. Masks are at most 1, and a softmax of them hardly tells classes
        apart.
        """
        return (vectors @ self.head.weight.sum((2, 3)).T).abs()[:, :-1]

    def pair_logits(self, images: Tensor) -> Tensor:
        """The logits of pairs of images [P, 2, 3, H, W]: [P, 2, K]."""
        features = self.features(images.flatten(0, 1))
        return self._compared(features.unflatten(0, images.shape[:2]))

    def logits(self, features: Tensor) -> Tensor:
        """Logits [B, K] of the features of single images, which are compared with no other."""
        return self._compared(features[:, None])[:, 0]

    def _compared(self, features: Tensor) -> Tensor:
        """Logits [N, V, K] of V images that are seen together, from features [N, V, C, h, w]."""
        together, images = features.shape[:2], features.flatten(0, 1)
        masks = self.score_maps(images).flatten(2)
        cells = self.reduce(images).flatten(2).transpose(1, 2)
        places = sinusoids(*cells.shape[1:]).to(cells)
        added = places + self.image.weight[: together[1], None]
        logits = []
        for number, block in enumerate(self.blocks):
            of_class = (cells * masks[:, number, :, None]).unflatten(0, together)
            seen = block(self.dropout(of_class + added).flatten(1, 2))
            pooled = self.dropout(seen).unflatten(1, (together[1], -1)).mean(2)
            logits.append(pooled @ self.weights[number])
        return torch.stack(logits, 2)

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters that learn with the higher rate; as in the public code not the blocks."""
        return [*self.head.parameters(), *self.reduce.parameters(), self.weights]


def sinusoids(cells: int, width: int) -> Tensor:
    """Sine and cosine positions of cells in reading order: [cells, width], −1 to 1."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000) / width))
    angles = torch.arange(cells)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)


def views(task: Task) -> PairedViews:
    """Random views of pairs with the tags of both."""
    train, spec = task.rows("train"), task.spec
    tags = multi_hot(train["tags"], task.classes)
    return PairedViews(train, task.root, tags, spec.augment, spec.backbone.mean)


def begin(task: Task, network: PairClassifier, views: PairedViews) -> None:
    """Say how many images have no partner."""
    alone = views.alone()
    if len(alone) and is_main_process():
        names = task.rows("train")["image"].iloc[alone[:3]]
        print(
            f"{len(alone)} of {len(views)} training images share no class with another and are "
            f"paired with themselves: {', '.join(names)}{', …' if len(alone) > 3 else ''}",
            flush=True,
        )


def build(spec: Edam, classes: int) -> PairClassifier:
    """Return the network, with random weights."""
    return PairClassifier(spec, classes)


def step(
    network: PairClassifier, batch: list[Tensor], moment: Moment, spec: Edam
) -> dict[str, Tensor]:
    """The loss on a batch: pairs [P, 2, 3, S, S] in 0 to 255 and their multi-hot tags [P, 2, K]."""
    images, tags = batch
    logits = network.pair_logits(images.float() / 255)
    loss = tag_loss(logits.flatten(0, 1), tags.flatten(0, 1), spec.label_smoothing)
    return {"loss": loss}
