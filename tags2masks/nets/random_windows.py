"""A convolution whose windows keep random cells, without making a window's cells again.

Source: FickleNet (Lee et al., CVPR 2019; Lee's thesis, section 3.2.1). There the feature map is
expanded so that the s × s windows do not overlap, cells of the expanded map are dropped, and a
convolution of stride s gives a score map, whose mean is the logit. Here the same from the feature
map itself. With W_a the convolution's weights at offset a, m the mask, x the features and n the
number of windows, one for each cell:

    score of the window at p      Σ_a m[p, a] · W_a x[p + a]
    logit                         Σ_a W_a · (Σ_u m[u − a, a] · x[u]) / n
    gradient × activation at u    Σ_a m[u − a, a] · W_a x[u] / n

So masks are written by the cell u that they keep, not by the window: [cells, s²], offsets in the
order of the convolution's weights. Where the window at u − a is outside the map they are 0.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class RandomWindows:
    """Windows of kernel × kernel cells (odd), of which each cell is dropped with probability drop.

    keep_centre: a window's middle cell is always kept. Kept cells count 1/(1 − drop), as in
    dropout, if they could have been dropped: so a mask's expected value is 1.
    """

    kernel: int
    drop: float
    keep_centre: bool = True

    def expected(self, size: tuple[int, int]) -> Tensor:
        """The expected mask, [h·w, s²]: 1, or 0 where the window is outside the map."""
        rows, columns = (self._windows_along(side) for side in size)
        both = rows[:, None, :, None] & columns[None, :, None, :]
        return both.reshape(size[0] * size[1], self.kernel**2).float()

    def _windows_along(self, side: int) -> Tensor:
        """bool [side, s]: whether the window of which a place is at this offset is in the map."""
        offsets = torch.arange(self.kernel) - self.kernel // 2
        middles = torch.arange(side)[:, None] - offsets
        return (middles >= 0) & (middles < side)

    def scale(self, size: tuple[int, int]) -> Tensor:
        """What a kept cell counts, [h·w, s²]; 0 where the window is outside the map."""
        counts = torch.full((self.kernel**2,), 1 / (1 - self.drop))
        if self.keep_centre:
            counts[self.kernel**2 // 2] = 1
        return self.expected(size) * counts

    def draw(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """Which cells are kept, bool [*shape, s²], drawn on the generator's device."""
        uniform = torch.rand((*shape, self.kernel**2), generator=generator, device=generator.device)
        kept = uniform >= self.drop
        if self.keep_centre:
            kept[..., self.kernel**2 // 2] = True
        return kept


def pooled_logits(features: Tensor, weight: Tensor, masks: Tensor) -> Tensor:
    """The logits of a masked convolution and average pooling, [B, K].

    features: [B, C, h, w]; weight: of the convolution, [K, C, s, s]; masks: [h·w, s²], for all
    images or [B, h·w, s²].
    """
    cells = features.flatten(2)
    # Means, not sums, which may not fit into float16.
    means = cells @ (masks / cells.shape[2]).to(cells.dtype)
    return torch.einsum("bca,kca->bk", means, weight.flatten(2))


def offset_scores(features: Tensor, weight: Tensor) -> Tensor:
    """W_a x[u] for every class, offset and cell: [K, s², h·w], with features [C, h, w]."""
    return torch.einsum("kca,cu->kau", weight.flatten(2), features.flatten(1))


def activation_maps(scores: Tensor, masks: Tensor) -> Tensor:
    """n times the gradient of the logit times the activation, for N masks: [N, K, h·w].

    scores: from `offset_scores`; masks: [N, h·w, s²]. No backward pass: the head is linear.
    """
    return torch.einsum("nua,kau->nku", masks.to(scores.dtype), scores)
