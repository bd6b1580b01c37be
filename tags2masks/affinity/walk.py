"""Random walks over an image: scores spread along affinities by sparse matrix products.

AffinityNet (Ahn & Kwak, CVPR 2018) and IRN (Ahn et al., CVPR 2019) compute T^t v for scores v. T
holds the affinities to the power β between cells within a radius, normalised to a transition
matrix. Their code squares a dense T log2(t) times: O(N³) for N cells, and N² floats of memory. Here
T stays sparse, and T^t v is a sum of Chebyshev polynomials: x^t on [-1, 1] needs terms only up to
an order of about sqrt(2 t log(2/ε)) (Sachdeva & Vishnoi, "Faster algorithms via approximation
theory", 2014, theorem 3.3), 84 products instead of 256. Products are in float64: in float32 the
rounding errors of the recursion would grow to about 4e-5. They are bound by memory bandwidth in
either type.

Cells at the border have fewer neighbours, like cells beside the padding of the public code.
"""

import warnings
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor

from tags2masks.affinity.pairs import Offset, cells

TOLERANCE = 1e-7
"""Upper bound on the sum of the omitted coefficients, and so on the error of scores up to 1."""


def transition(
    affinities: Sequence[Tensor], offsets: Sequence[Offset], size: tuple[int, int], beta: float
) -> Tensor:
    """The transition matrix over the N = h·w cells of a map: sparse CSR [N, N], float64.

    Rows sum to 1. affinities: for each offset [h - dy, w - |dx|], 0..1, in the order of
    `pairs.cells`; the affinity of a cell to itself is 1. size: (h, w). beta: exponent on
    affinities.
    """
    height, width = size
    device = affinities[0].device
    values = torch.zeros(2 * len(offsets) + 1, height, width, device=device, dtype=torch.float64)
    values[len(offsets)] = 1
    for number, (offset, affinity) in enumerate(zip(offsets, affinities, strict=True)):
        powered = affinity.double().pow(beta)
        cells(values[len(offsets) + 1 + number], offset).copy_(powered)
        cells(values[len(offsets) - 1 - number], offset, offset).copy_(powered)
    by_row = values.flatten(1).T.contiguous()
    by_row /= by_row.sum(1, keepdim=True)
    rows, columns = (part.to(device) for part in _structure(tuple(offsets), height, width))
    with warnings.catch_warnings():
        # torch warns that CSR is in beta and that invariants are unchecked; a test checks them.
        warnings.filterwarnings("ignore", "Sparse")
        return torch.sparse_csr_tensor(rows, columns, by_row.flatten(), (len(by_row), len(by_row)))


@lru_cache(maxsize=64)
def _structure(offsets: tuple[Offset, ...], height: int, width: int) -> tuple[Tensor, Tensor]:
    """Row starts and column indices; for a neighbour outside, the cell itself with value 0."""
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    shifts = [(-dy, -dx) for dy, dx in reversed(offsets)] + [(0, 0), *offsets]
    columns = np.empty((height * width, len(shifts)), np.int32)
    for number, (dy, dx) in enumerate(shifts):
        inside = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        columns[:, number] = (y + dy * inside) * width + x + dx * inside
    rows = np.arange(0, columns.size + 1, len(shifts), dtype=np.int32)
    return torch.from_numpy(rows), torch.from_numpy(columns.ravel())


@cache
def coefficients(steps: int, tolerance: float = TOLERANCE) -> tuple[float, ...]:
    """Return c with x^steps = Σ c_k T_k(x), cut off where the rest sums to at most `tolerance`.

    c_k is the probability that a fair walk of `steps` unit steps on a line ends at distance k.
    """
    order = np.arange(steps + 1)
    chances = np.where((steps - order) % 2, 0, 2 * binom.pmf((steps - order) // 2, steps, 0.5))
    chances[0] /= 2
    rest = chances[::-1].cumsum()[::-1] - chances  # the omitted sum if k is the last term
    return tuple(chances[: np.flatnonzero(rest <= tolerance)[0] + 1].tolist())


def walk(matrix: Tensor, scores: Tensor, steps: int) -> Tensor:
    """Return matrix^steps · scores: float32 [K, h, w], each value exact to `TOLERANCE`.

    matrix: from `transition`, for maps of this size; scores: float [K, h, w], 0..1; steps: 0 or
    more.
    """
    first = scores.flatten(1).T.double().contiguous()
    weights = coefficients(steps)
    total = weights[0] * first
    if len(weights) > 1:
        second = matrix @ first
        total += weights[1] * second
        for weight in weights[2:]:
            first, second = second, torch.sub(2 * (matrix @ second), first)
            if weight:
                total += weight * second
    return total.clamp_(min=0).T.float().reshape(scores.shape)
