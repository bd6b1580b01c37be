"""Losses of affinity networks on pairs of cells whose labels are certain."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from tags2masks.affinity.pairs import Offset, cells
from tags2masks.mask_ids import IGNORED

SMALLEST = 1e-5  # keeps logarithms finite; both public codes have it


class PairMeans:
    """Means over kinds of pairs, accumulated offset by offset; 0 for a kind without pairs."""

    def __init__(self, like: Tensor):
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._zero = like.sum() * 0  # a batch without pairs needs gradients too

    def add(self, kind: str, values: Tensor, chosen: Tensor) -> None:
        """Count `values` where `chosen`, a mask of the same shape."""
        self._sums[kind] = self._sums.get(kind, self._zero) + (values * chosen).sum()
        self._counts[kind] = self._counts.get(kind, 0) + chosen.sum()

    def __getitem__(self, kind: str) -> Tensor:
        if kind not in self._sums:
            return self._zero
        return self._sums[kind] / self._counts[kind].clamp(min=1)


def kinds(labels: Tensor, offset: Offset) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of background, of one class, and of two different labels: bool [..., h - dy, w - |dx|].

    labels: [..., h, w], 255 where unknown; a pair with an unknown label is of no kind.
    """
    first, second = cells(labels, offset), cells(labels, offset, offset)
    known = (first != IGNORED) & (second != IGNORED)
    same = known & (first == second)
    return same & (first == 0), same & (first > 0), known & (first != second)


def affinity_loss(
    affinities: Iterable[Tensor], labels: Tensor, offsets: Iterable[Offset]
) -> tuple[Tensor, Tensor]:
    """The balanced loss of AffinityNet and IRN, and the accuracy on pairs.

    The loss is ¼ of the mean -log a over background pairs, ¼ of that over pairs of one class and ½
    of the mean -log(1 - a) over pairs of different labels; means are over the batch.
    affinities: for each offset [B, h - dy, w - |dx|], 0..1; labels: [B, h, w], 255 where unknown.
    Accuracy: the mean of two shares, pairs of equal labels with a > ½ and pairs of different labels
    with a ≤ ½.
    """
    means = None
    for offset, close in zip(offsets, affinities, strict=True):
        means = means or PairMeans(close)
        background, foreground, different = kinds(labels, offset)
        means.add("background", -(close + SMALLEST).log(), background)
        means.add("class", -(close + SMALLEST).log(), foreground)
        means.add("different", -(1 + SMALLEST - close).log(), different)
        means.add("near", close.detach() > 0.5, background | foreground)
        means.add("far", close.detach() <= 0.5, different)
    loss = (means["background"] + means["class"]) / 4 + means["different"] / 2
    return loss, (means["near"] + means["far"]).detach() / 2


def labels_of_cells(labels: Tensor, size: torch.Size) -> Tensor:
    """The label at the middle of each cell: float [B, h, w] from uint8 [B, H, W]."""
    return F.interpolate(labels[:, None].float(), size, mode="nearest-exact").squeeze(1)
