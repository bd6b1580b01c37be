"""The network and the losses of C²AM (Xie et al., CVPR 2022; eq. 4 of P-NOC, David et al., 2023).

A 3 × 3 convolution with batch norm on the last two stages of a backbone gives each cell's share P
of the foreground. An image's foreground is the mean of its features weighted with P, its background
that with 1 − P. Foregrounds of different images are to be alike, as are backgrounds; a foreground
and a background are to be unlike. No label takes part, so P may mean the object or what is around
it.

Differs from the public code: the convolution learns at `head_factor` times the rate (there a
comparison of unlike objects fails, and it learns at the backbone's), and batch norm's weights learn
(there they are in no group of parameters). Eq. 4 as printed lacks the minus of its first two terms.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tags2masks.config.saliency_networks import Contrast
from tags2masks.nets.backbones import Normalize, create_backbone, stage_channels, stage_features
from tags2masks.nets.resize import resized

LEAST = 5e-4  # similarities are clamped to LEAST and 1 − LEAST, and have no gradient outside


class ContrastNetwork(nn.Module):
    """Shares of the foreground, and the mean features of foreground and background.

    images: [B, 3, H, W] in 0 to 1. Raises UserError for a backbone without access to its stages.
    """

    def __init__(self, spec: Contrast):
        super().__init__()
        self.normalize = Normalize(spec.backbone)
        self.backbone = create_backbone(spec.backbone)
        channels = sum(stage_channels(self.backbone, 2))
        self.head = nn.Sequential(
            nn.Conv2d(channels, 1, 3, padding=1, bias=False), nn.BatchNorm2d(1)
        )
        # Whether the foreground of the network is the background of the images.
        self.register_buffer("inverted", torch.tensor(False))

    def features(self, images: Tensor) -> Tensor:
        """The last two stages, deep before shallow, at the shallower one's size: [B, C, h, w]."""
        shallow, deep = stage_features(self.backbone, self.normalize(images), 2)
        return torch.cat([resized(deep, shallow.shape[-2:]), shallow], 1)

    def logits(self, images: Tensor) -> Tensor:
        """Of the foreground, [B, 1, h, w]."""
        return self.head(self.features(images))

    def forward(
        self, images: Tensor, micro_batch: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [B, 1, h, w], and the foregrounds and backgrounds, each [B, C].

        With a micro-batch, the activations of so many images are in memory at a time: features are
        computed once more for the backward pass. The gradients are those of the whole batch, apart
        from batch norm of the backbone in training mode, whose statistics are a micro-batch's.
        """
        if micro_batch is None:
            features = self.features(images)
        else:
            parts = images.split(micro_batch)
            features = torch.cat([self._recomputed(part) for part in parts])
        logits = self.head(features)
        cells = features.flatten(2)
        # Each by its own product: the difference of two means of half precision is inexact.
        exact = logits.to(torch.promote_types(logits.dtype, torch.float32)).flatten(1)
        shares = (exact.sigmoid().to(cells.dtype), (-exact).sigmoid().to(cells.dtype))
        parts = [torch.einsum("bcn,bn->bc", cells, of) for of in shares]
        foreground, background = (part / cells.shape[-1] for part in parts)
        return logits, foreground, background

    def _recomputed(self, images: Tensor) -> Tensor:
        return checkpoint(
            self.features,
            images,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _unmoved_statistics(self.backbone)),
        )

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers, which learn with the higher rate."""
        return list(self.head.parameters())


@contextmanager
def _unmoved_statistics(network: nn.Module) -> Iterator[None]:
    """Batch norm without updates of its running statistics: the first pass made them."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    rates = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked.clone() for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, rate, count in zip(norms, rates, counts, strict=True):
            norm.momentum = rate
            norm.num_batches_tracked.copy_(count)


def similarities(one: Tensor, other: Tensor) -> Tensor:
    """Cosines of two sets of vectors [n, C], clamped: [n, n]."""
    cosines = F.normalize(one) @ F.normalize(other).T
    return cosines.clamp(LEAST, 1 - LEAST)


def alike(vectors: Tensor, decay: float, pairs: str) -> Tensor:
    """The loss by which vectors [n, C] become alike: mean of −exp(−decay · rank) · log cosine.

    The rank of a vector in the row of another: 0 for the most alike; it has no gradient. pairs:
    `others`, or `all`, where a vector's own rank is −1.
    """
    close = similarities(vectors, vectors)
    itself = torch.eye(len(close), dtype=torch.bool, device=close.device)
    order = (
        close.detach().masked_fill(itself, torch.inf).argsort(dim=1, descending=True, stable=True)
    )
    ranks = order.argsort(dim=1) - 1
    losses = -torch.exp(-decay * ranks) * close.log()
    if pairs == "others":
        losses = losses[~itself]
    return losses.mean() if losses.numel() else losses.sum()


def unlike(foregrounds: Tensor, backgrounds: Tensor) -> Tensor:
    """The loss by which foregrounds and backgrounds [n, C] become unlike: mean −log(1 − cosine)."""
    return -torch.log(1 - similarities(foregrounds, backgrounds)).mean()


def contrast(foregrounds: Tensor, backgrounds: Tensor, spec: Contrast) -> dict[str, Tensor]:
    """The loss of eq. 4, and its three terms."""
    terms = {
        "foregrounds": alike(foregrounds, spec.rank_decay, spec.pairs),
        "backgrounds": alike(backgrounds, spec.rank_decay, spec.pairs),
        "contrast": unlike(foregrounds, backgrounds),
    }
    return {"loss": sum(terms.values())} | terms


def share_of(logits: Tensor) -> Tensor:
    """The mean share of the foreground: a training has collapsed where it is near 0 or 1."""
    return logits.detach().sigmoid().mean()


def border_mean(shares: Tensor, width: float) -> Tensor:
    """The mean share of the foreground at the borders of images: [B].

    shares: [B, 1, h, w]; width: that of a border, as a share of the side, one cell at least.
    """
    height, breadth = shares.shape[-2:]
    inside = torch.ones_like(shares, dtype=torch.bool)
    rows, columns = (max(1, round(width * side)) for side in (height, breadth))
    inside[..., :rows, :] = inside[..., height - rows :, :] = False
    inside[..., :columns] = inside[..., breadth - columns :] = False
    return (shares * ~inside).flatten(1).sum(1) / (~inside).flatten(1).sum(1)
