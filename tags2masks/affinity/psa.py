"""AffinityNet (Ahn & Kwak, CVPR 2018).

The features of three stages are merged. The affinity of two cells is exp(-mean |Δ|) over channels
of their features, as in the public code; the paper has the sum. It is learned from pairs of cells
whose labels are certain. Layers are those of the public code.

The label of a cell is the one with the highest mean of the CRFs' probabilities over the cell's
pixels (`cell_labels`), as in the public code. Here the probabilities are stored as uint8, in
255ths.

Differs from the code: the whole backbone learns, batch norm's weights too, and no colours are
jittered; any backbone of three stages works, at the stride of the first of them; pairs at the
image's border count too.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.affinity.losses import SMALLEST, affinity_loss, labels_of_cells
from tags2masks.affinity.pairs import Offset, cells, half_disc
from tags2masks.config.affinity import PsaTraining
from tags2masks.mask_ids import IGNORED
from tags2masks.nets.backbones import (
    Normalize,
    create_backbone,
    stage_channels,
    stage_features,
)
from tags2masks.nets.resize import resized
from tags2masks.training import Moment

WIDTHS = (64, 128, 256)


class AffinityNet(nn.Module):
    """Features [B, 448, h, w] that are similar where cells belong together.

    images: [B, 3, H, W] in 0 to 1, any size. Raises UserError for a backbone of fewer than three
    stages.
    """

    def __init__(self, spec: PsaTraining):
        super().__init__()
        self.normalize = Normalize(spec.backbone)
        self.backbone = create_backbone(spec.backbone)
        channels = stage_channels(self.backbone, len(WIDTHS))
        self.branches = nn.ModuleList(
            nn.Conv2d(sides[0], sides[1], 1, bias=False)
            for sides in zip(channels, WIDTHS, strict=True)
        )
        self.merge = nn.Conv2d(sum(WIDTHS), sum(WIDTHS), 1, bias=False)
        for branch in self.branches:
            nn.init.kaiming_normal_(branch.weight)
        nn.init.xavier_uniform_(self.merge.weight, gain=4)

    def forward(self, images: Tensor) -> Tensor:
        stages = stage_features(self.backbone, self.normalize(images), len(WIDTHS))
        size = stages[0].shape[-2:]
        features = [
            resized(F.elu(branch(stage)), size)
            for branch, stage in zip(self.branches, stages, strict=True)
        ]
        return F.elu(self.merge(torch.cat(features, 1)))

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers, which learn with the higher rate."""
        return [*self.branches.parameters(), *self.merge.parameters()]


def build(spec: PsaTraining, classes: int) -> AffinityNet:
    """Return the network, with random weights; it does not depend on the number of classes."""
    return AffinityNet(spec)


def affinity(features: Tensor, offset: Offset) -> Tensor:
    """exp(-mean |Δ|) of every pair: [B, h - dy, w - |dx|]; features: [B, C, h, w]."""
    apart = cells(features, offset) - cells(features, offset, offset)
    return (-apart.abs().mean(1)).exp()


def agreed_cells(probabilities: Tensor, size: torch.Size) -> Tensor:
    """Labels of cells from the mean probabilities of two CRFs: int [B, h, w], 255 where uncertain.

    probabilities: uint8 [B, 2, L, H, W] in 255ths, 0 in the padding. The first CRF is strict about
    classes, the second about background; label 0 is background. A cell gets a class if that class
    has the highest mean in the strict CRF, background if background has the highest mean in the
    second, and 255 otherwise or without probabilities. Class numbers are per image: they cannot be
    compared between images.
    """
    means = F.adaptive_avg_pool2d(probabilities.flatten(1, 2).float() / 255, size)
    means = means.unflatten(1, probabilities.shape[1:3])
    strict, loose = means.argmax(2).unbind(1)
    labels = torch.where(strict == 0, IGNORED, strict).masked_fill(loose == 0, 0)
    return labels.masked_fill(means.amax((1, 2)) < SMALLEST, IGNORED)


def step(
    network: nn.Module, batch: list[Tensor], moment: Moment, spec: PsaTraining
) -> dict[str, Tensor]:
    """The loss on a batch: uint8 images [B, 3, S, S] and labels.

    Labels are [B, S, S], 255 ignored, or the probabilities [B, 2, L, S, S] of `agreed_cells`.
    """
    images, labels = batch
    features = network(images.float() / 255).float()
    offsets = half_disc(spec.radius)
    affinities = (affinity(features, offset) for offset in offsets)
    of_cells = agreed_cells if labels.ndim == 5 else labels_of_cells
    small = of_cells(labels, features.shape[-2:])
    loss, accuracy = affinity_loss(affinities, small, offsets)
    return {"loss": loss, "pair_accuracy": accuracy}
