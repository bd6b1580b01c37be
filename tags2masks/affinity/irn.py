"""The inter-pixel relation network, IRN (Ahn, Cho & Kwak, CVPR 2019).

On a frozen backbone one branch predicts class boundaries; another predicts, for every cell, the
displacement to its instance's centre. Two cells belong together if no boundary lies on the straight
path between them: their affinity is 1 minus the strongest boundary on the path. Both are learned
from pairs of cells whose labels are certain. Layers, rates and loss weights are the public code's.

Differs from the code: pairs at the image's border count too; images are not cropped to 512; all
feature maps of the backbone are used, and images of any size work.
"""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.affinity.losses import PairMeans, affinity_loss, kinds, labels_of_cells
from tags2masks.affinity.pairs import Offset, cells, half_disc, path
from tags2masks.config.affinity import IrnTraining
from tags2masks.nets.backbones import (
    Normalize,
    create_backbone,
    stage_channels,
    stage_features,
)
from tags2masks.nets.resize import resized
from tags2masks.training import Moment

STRIDE = 4


class EdgeDisplacement(nn.Module):
    """Boundary logits [B, 1, h, w] and displacements [B, 2, h, w] (down, right), in cells.

    images: [B, 3, H, W] in 0 to 1, any size; h = ceil(H / 4). In evaluation mode the mean
    displacement over the training images, measured by `centre`, is subtracted. With
    `displacement: false` displacements are None.
    Raises UserError for a backbone that does not give enough feature maps.
    """

    def __init__(self, spec: IrnTraining):
        super().__init__()
        self.normalize = Normalize(spec.backbone)
        self.backbone = create_backbone(spec.backbone)
        self.stages = min(5, len(getattr(self.backbone, "feature_info", [])))
        channels = stage_channels(self.backbone, max(4, self.stages))
        strides = [stage["reduction"] for stage in self.backbone.feature_info[-self.stages :]]
        self.backbone.requires_grad_(False)
        self.edges = nn.ModuleList([_branch(width, 32, 4) for width in channels])
        self.edge = nn.Conv2d(32 * len(channels), 1, 1)
        self.displaces = spec.displacement
        if not self.displaces:
            return
        widths = [64, 128, 256, 256, 256][-len(channels) :]
        self.displacements = nn.ModuleList(
            _branch(*sides, min(16, sides[1] // 8)) for sides in zip(channels, widths, strict=True)
        )
        self.deep = [stride > STRIDE for stride in strides]
        fine = sum(w for w, deep in zip(widths, self.deep, strict=True) if not deep)
        self.merge_deep = _branch(sum(widths) - fine, 256, 16)
        self.merge = _branch(fine + 256, 256, 16)
        self.displacement = nn.Conv2d(256, 2, 1, bias=False)
        self.register_buffer("mean_displacement", torch.zeros(2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        quarter = [-(-side // STRIDE) for side in images.shape[-2:]]
        with torch.no_grad():
            stages = stage_features(self.backbone, self.normalize(images), self.stages)
            taps = [pooled(stage, quarter) for stage in stages]
        edges = [
            resized(branch(tap), quarter) for branch, tap in zip(self.edges, taps, strict=True)
        ]
        logits = self.edge(F.relu(torch.cat(edges, 1)))
        return logits, self._displacement(taps, quarter) if self.displaces else None

    def _displacement(self, taps: list[Tensor], quarter: Sequence[int]) -> Tensor:
        eighth = [-(-side // 2) for side in quarter]
        features = [branch(tap) for branch, tap in zip(self.displacements, taps, strict=True)]
        deep = [
            resized(feature, eighth)
            for feature, deep in zip(features, self.deep, strict=True)
            if deep
        ]
        deep = F.relu(resized(self.merge_deep(F.relu(torch.cat(deep, 1))), quarter))
        fine = [
            resized(feature, quarter)
            for feature, deep in zip(features, self.deep, strict=True)
            if not deep
        ]
        displacement = self.displacement(
            F.relu(self.merge(torch.cat([*map(F.relu, fine), deep], 1)))
        )
        if not self.training:
            displacement = displacement - self.mean_displacement.view(1, 2, 1, 1)
        return displacement

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters with the higher rate: the displacement branches, if there are any."""
        if not self.displaces:
            return []
        parts = (self.displacements, self.merge_deep, self.merge, self.displacement)
        return [parameter for part in parts for parameter in part.parameters()]


def _branch(channels: int, width: int, groups: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.GroupNorm(groups, width))


def pooled(features: Tensor, size: Sequence[int]) -> Tensor:
    """Features [B, C, h, w], pooled by 2 if they are larger than `size`, as in ResNet's stem."""
    if features.shape[-1] > size[1] or features.shape[-2] > size[0]:
        return F.max_pool2d(features, 3, stride=2, padding=1)
    return features


def build(spec: IrnTraining, classes: int) -> EdgeDisplacement:
    """Return the network, with random weights; it does not depend on the number of classes."""
    return EdgeDisplacement(spec)


def affinity(edges: Tensor, offset: Offset) -> Tensor:
    """Return 1 − the strongest boundary on the path of every pair: [..., h - dy, w - |dx|].

    edges: [..., h, w], 0..1. If several boundaries are equally strong, the first one gets the
    gradient.
    """
    return 1 - torch.stack([cells(edges, offset, shift) for shift in path(offset)]).max(0).values


def displacement_loss(displacements: Tensor, labels: Tensor, offsets: Iterable[Offset]) -> Tensor:
    """The displacement loss of IRN.

    Cells of one class should point to the same location, background cells should have the same
    displacement. The loss is the mean |error| over both directions and all pairs of a class, and
    the same over pairs of background, with weight ½ each.
    displacements: [B, 2, h, w]; labels: [B, h, w], 255 where unknown.
    """
    means = PairMeans(displacements)
    for offset in offsets:
        background, foreground, _ = kinds(labels, offset)
        # Both cells point to one centre, so their displacements differ by the offset between them.
        apart = cells(displacements, offset) - cells(displacements, offset, offset)
        way = apart.new_tensor(offset).view(2, 1, 1)
        means.add("class", (apart - way).abs().mean(1), foreground)
        means.add("background", apart.abs().mean(1), background)
    return (means["class"] + means["background"]) / 2


def step(
    network: nn.Module, batch: list[Tensor], moment: Moment, spec: IrnTraining
) -> dict[str, Tensor]:
    """The losses on a batch: uint8 images [B, 3, S, S] and labels [B, S, S], 255 ignored."""
    images, labels = batch
    logits, displacements = network(images.float() / 255)
    small = labels_of_cells(labels, logits.shape[-2:])
    edges, offsets = logits.float().sigmoid().squeeze(1), half_disc(spec.radius)
    affinities = (affinity(edges, offset) for offset in offsets)
    boundary, accuracy = affinity_loss(affinities, small, offsets)
    figures = {"boundary": boundary, "pair_accuracy": accuracy}
    if displacements is None:
        return {"loss": boundary} | figures
    displacement = displacement_loss(displacements.float(), small, offsets)
    return {"loss": boundary + displacement, "displacement": displacement} | figures


def centre(network: EdgeDisplacement, batches: Iterable[Tensor]) -> None:
    """Store the mean displacement over uint8 images [B, 3, S, S] in the network.

    A component that all cells share does not point to a centre; the public code subtracts it too. A
    network without displacements is not changed.
    """
    network.eval()
    if not network.displaces:
        return
    network.mean_displacement.zero_()
    total, count = 0, 0
    with torch.no_grad():
        for images in batches:
            displacements = network(images.float() / 255)[1].float()
            total = total + displacements.mean((2, 3)).sum(0)
            count += len(images)
    network.mean_displacement.copy_(total / count)
