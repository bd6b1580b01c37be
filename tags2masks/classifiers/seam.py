"""SEAM: a classifier whose maps of an image and of its smaller copy agree, plain and refined.

Source: Wang et al., "Self-supervised equivariant attention mechanism", CVPR 2020. The network gets
the image at its size and at `scale` of it. The pixel correlation module (PCM) spreads maps over
cells that look alike. Equivariant regularization (ER) reduces the difference between the maps of
the two sizes; equivariant cross regularization (ECR) that between the refined maps of one size and
the maps of the other.

The paper does not say the following; it is as in the public code. Maps are compared after ReLU,
stretched to 0 to 1, with untagged classes set to 0. The background is 1 − the highest class. ECR
takes the largest 20 % of the differences, from maps that keep only the background and the highest
class at each cell. The lowest quarter of the refined maps is reduced to 0 (in the code only;
`min_weight: 0` leaves it out). No gradient flows from PCM into the trunk. Features before the head
have channel dropout.

Differs from the code: logits are means over cells, in the code over maps at the image's size; maps
are resized from cells to the smaller image's size at once, with `align_corners=False`; batch norm's
statistics are fixed, in the code its weights and the first layers too. The code's head has a
background weight that gets no gradient; it is left out here.

`score_maps` are the maps before PCM, for CAM. The published masks come from the maps after PCM
(`maps/pcm.py`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.classifiers import Seam
from tags2masks.nets.backbones import stage_channels
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.resize import at_scale, resized
from tags2masks.training import Moment

EPSILON = 1e-5
WIDTHS = (64, 128)
PAIRS = 2**24
"""Pairs of cells that PCM compares at a time: 64 MiB of similarities."""


class Correlation(nn.Module):
    """The pixel correlation module: spreads maps over cells that look alike.

    Raises UserError for a backbone without the stages in `taps`.
    """

    def __init__(self, backbone: nn.Module, taps: tuple[int, int]):
        super().__init__()
        self.taps = taps
        channels = stage_channels(backbone, max(taps))
        self.branches = nn.ModuleList(
            nn.Conv2d(channels[-tap], width, 1, bias=False)
            for tap, width in zip(taps, WIDTHS, strict=True)
        )
        self.merge = nn.Conv2d(3 + sum(WIDTHS), sum(WIDTHS), 1, bias=False)
        for branch in self.branches:
            nn.init.kaiming_normal_(branch.weight)
        nn.init.xavier_uniform_(self.merge.weight, gain=4)

    def forward(self, maps: Tensor, images: Tensor, stages: list[Tensor]) -> Tensor:
        """Return the refined maps [B, C, h, w].

        images: normalised; stages: feature maps of the backbone's last stages.
        """
        seen = [images]
        for tap, branch in zip(self.taps, self.branches, strict=True):
            seen.append(F.relu(branch(stages[-tap].detach())))
        looks = torch.cat([resized(part, maps.shape[-2:]) for part in seen], 1)
        return spread(maps, self.merge(looks))


class RefinedClassifier(Classifier):
    """A classifier with a pixel correlation module beside its head.

    images: [B, 3, H, W] in 0 to 1. Raises UserError for a backbone without the stages in `taps`.
    """

    forward_methods = ("score_all", "refine_all")

    def __init__(self, spec: Seam, classes: int):
        super().__init__(spec.backbone, classes)
        self.correlation = Correlation(self.backbone, spec.taps)
        self.dropout = nn.Dropout2d(spec.dropout)

    def refine_all(self, *batches: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The score maps and the maps refined by PCM, for images of several sizes, in one call.

        For each batch: score maps [B, K, h, w], whose mean is the logit, and refined maps
        [B, K + 1, h, w] in 0 to 1, the background first. Dropout is active in training mode.
        """
        return [self._refined(images) for images in batches]

    def refined_maps(self, images: Tensor) -> Tensor:
        """The classes' maps after PCM, [B, K, h, w], 0 or more; images [B, 3, H, W] in 0 to 1."""
        return self._refined(images)[1][:, 1:]

    def _refined(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.refine(*tapped(self, images))

    def refine(
        self, images: Tensor, features: Tensor, stages: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The score maps and the refined maps of one batch, from what `tapped` returns."""
        maps = self.head(features)
        shown = beside_background(over_maximum(maps.detach().float()))
        return maps, self.correlation(shown, images, stages)

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers, which learn with the higher rate."""
        return [*super().head_parameters(), *self.correlation.parameters()]


def tapped(network: Classifier, images: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The inputs of the head and of the correlation module, for images [B, 3, H, W] in 0 to 1.

    Returns the normalised images, the features before the head (after dropout), and the feature
    maps of the backbone's last stages.
    """
    images = network.normalize(images)
    count = max(network.correlation.taps)
    features, stages = network.backbone.forward_intermediates(images, indices=count)
    return images, network.dropout(features), stages


def build(spec: Seam, classes: int) -> RefinedClassifier:
    """Return the network, with random weights."""
    return RefinedClassifier(spec, classes)


def step(
    network: RefinedClassifier, batch: list[Tensor], moment: Moment, spec: Seam
) -> dict[str, Tensor]:
    """The losses on a batch: images [B, 3, S, S] in 0 to 255 and multi-hot tags [B, K]."""
    images, tags = batch
    images = images.float() / 255
    smaller = at_scale(images, spec.scale)
    of_image, of_smaller = network.refine_all(images, smaller)
    return seam_losses(of_image, of_smaller, tags, smaller.shape[-2:], spec)


def seam_losses(
    of_image: tuple[Tensor, Tensor],
    of_smaller: tuple[Tensor, Tensor],
    tags: Tensor,
    size: tuple[int, int],
    spec: Seam,
) -> dict[str, Tensor]:
    """The losses of SEAM, from the outputs of `refine_all` for the image and the smaller image.

    Maps are compared at `size`. "cls" is the mean of both classification losses, "low" that of both
    minimum pooling losses, "er" and "ecr" are the two regularizations.
    """
    tagged = tags[:, :, None, None]
    shown = torch.cat([torch.ones_like(tagged[:, :1]), tagged], 1)
    cls, low, maps, refined = 0.0, 0.0, [], []
    for scores, spread_out in (of_image, of_smaller):
        cls = cls + tag_loss(scores.mean((2, 3)), tags, spec.label_smoothing) / 2
        low = low + lowest(spread_out[:, 1:] * tagged, spec.min_share) / 2
        maps.append(resized(stretched(scores), size) * tagged)
        refined.append(resized(stretched(spread_out), size) * shown)
    er = (maps[0] - maps[1]).abs().mean()
    targets = [beside_background(compared.detach()) for compared in maps]
    ecr = largest((targets[1] - refined[0]).abs(), spec.ecr_share)
    ecr = ecr + largest((targets[0] - refined[1]).abs(), spec.ecr_share)
    loss = cls + spec.min_weight * low + er + ecr
    return {"loss": loss, "cls": cls, "low": low, "er": er, "ecr": ecr}


def spread(maps: Tensor, looks: Tensor) -> Tensor:
    """PCM: at each cell the mean of the maps, weighted by the similarity of cells (ReLU of cosine).

    maps: [B, C, h, w]; looks: features [B, F, h, w]. Returns float32 [B, C, h, w]. Memory holds the
    similarities of at most PAIRS pairs of cells at a time, or of all (h·w)² if gradients are kept.
    """
    with torch.autocast(maps.device.type, enabled=False):
        flat, values = looks.float().flatten(2), maps.float().flatten(2)
        flat = flat / (torch.linalg.vector_norm(flat, dim=1, keepdim=True) + EPSILON)
        parts = []
        for some in flat.split(max(1, PAIRS // (len(flat) * flat.shape[2])), dim=2):
            alike = (flat.transpose(1, 2) @ some).relu()
            parts.append(values @ alike / (alike.sum(1, keepdim=True) + EPSILON))
    return torch.cat(parts, 2).unflatten(2, maps.shape[-2:])


def over_maximum(maps: Tensor) -> Tensor:
    """ReLU of maps [B, K, h, w], each divided by its maximum."""
    return (maps.relu() - EPSILON).relu() / (maps.relu().amax((2, 3), keepdim=True) + EPSILON)


def stretched(maps: Tensor) -> Tensor:
    """ReLU of maps [B, K, h, w], each stretched so that it ranges from 0 to about 1."""
    maps = maps.relu()
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return (maps - low - EPSILON).relu() / (high - low + EPSILON)


def beside_background(maps: Tensor) -> Tensor:
    """The background, 1 − the highest class, followed by the maps of the highest class per cell.

    maps: [B, K, h, w] in 0 to 1. Returns [B, K + 1, h, w]; classes that are not the highest at a
    cell are 0 there, ties are kept.
    """
    highest = maps.amax(1, keepdim=True)
    return torch.cat([1 - highest, maps * (maps == highest)], 1)


def largest(apart: Tensor, share: float) -> Tensor:
    """Mean of each image's largest values, this share of them; apart: [B, C, h, w]."""
    apart = apart.flatten(1)
    return apart.topk(max(1, int(apart.shape[1] * share)), 1).values.mean()


def lowest(maps: Tensor, share: float) -> Tensor:
    """Mean of the highest class over each image's lowest cells, this share of them.

    maps: [B, K, h, w]; negative values count as 0.
    """
    highest = maps.amax(1).flatten(1)
    cells = max(1, int(highest.shape[1] * share))
    return highest.topk(cells, 1, largest=False).values.relu().mean()
