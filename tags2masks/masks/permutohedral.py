"""Gaussian filtering on the permutohedral lattice (Adams, Baek & Davis, Eurographics 2010).

On any torch device, with the scales and blur weights of pydensecrf, so that both agree but for
rounding. Values are summed in a fixed order, also on a GPU.
Differs from pydensecrf: that adds up to three points at the origin to fill its registers.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tags2masks.errors import UserError


class Lattice(NamedTuple):
    """The lattice's vertices around N points in d dimensions.

    points: int64 [N · (d + 1)], the point of each of a vertex's neighbours, vertex by vertex;
    shares: float32 [N · (d + 1)], their weights; starts: int64 [M], where each vertex begins;
    corners: int64 [N, d + 1], the vertices around each point; weights: float32 [N, d + 1], theirs;
    before, after: int64 [d + 1, M + 1], the next vertex along each axis, M where there is none.
    """

    points: Tensor
    shares: Tensor
    starts: Tensor
    corners: Tensor
    weights: Tensor
    before: Tensor
    after: Tensor


def filtered(lattice: Lattice, values: Tensor) -> Tensor:
    """Sums over all points, weighted by exp(−|f_i − f_j|² / 2) approximately: float32 [N, L].

    values: float32 [N, L]. Sums are too large by a factor that depends on d alone.
    """
    spread = F.embedding_bag(
        lattice.points, values, lattice.starts, mode="sum", per_sample_weights=lattice.shares
    )
    spread = F.pad(spread, (0, 0, 0, 1))  # what lies beyond the lattice is 0
    for before, after in zip(lattice.before, lattice.after, strict=True):
        spread = spread + (spread[before] + spread[after]) / 2
    dimensions = lattice.corners.shape[1] - 1
    return F.embedding_bag(
        lattice.corners, spread, mode="sum", per_sample_weights=lattice.weights
    ) / (1 + 2**-dimensions)


def build(features: Tensor) -> Lattice:
    """The lattice of points: float32 [N, d], in deviations.

    Raises UserError if the points lie too far apart for 64-bit numbers of vertices.
    """
    dimensions = features.shape[1]
    elevated = _elevate(features)
    nearest = (elevated / (dimensions + 1)).round()
    rank = (elevated - nearest * (dimensions + 1)).argsort(dim=1, descending=True, stable=True)
    # Back to the plane: coordinates beyond the first and last rank move a whole step.
    rank = rank.argsort(1) + nearest.sum(1, keepdim=True).long()
    step = (rank < 0).long() - (rank > dimensions).long()
    rank, nearest = rank + step * (dimensions + 1), nearest + step
    weights = _barycentric(elevated / (dimensions + 1) - nearest, rank)

    numbers, strides = _numbered(nearest[:, :dimensions].long(), rank[:, :dimensions])
    ordered, order = numbers.flatten().sort(stable=True)
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    vertices = ordered[first]
    corners = torch.empty_like(order)
    corners[order] = first.cumsum(0) - 1
    return Lattice(
        order // (dimensions + 1),
        weights.flatten()[order],
        first.nonzero()[:, 0],
        corners.view_as(numbers),
        weights,
        *_neighbours(vertices, strides),
    )


def _elevate(features: Tensor) -> Tensor:
    """The points in the plane of d + 1 coordinates whose sum is 0: [N, d + 1] of [N, d]."""
    dimensions = features.shape[1]
    deviation = (2 / 3) ** 0.5 * (dimensions + 1)  # of the whole filter, in steps
    total, elevated = torch.zeros_like(features[:, 0]), []
    for axis in range(dimensions, 0, -1):
        scaled = features[:, axis - 1] * (deviation / (axis * (axis + 1)) ** 0.5)
        elevated.append(total - axis * scaled)
        total = total + scaled
    return torch.stack([total, *reversed(elevated)], 1)


def _barycentric(offsets: Tensor, rank: Tensor) -> Tensor:
    """Weights of the vertices around each point, by their remainder: [N, d + 1], sum 1."""
    by_rank = torch.empty_like(offsets).scatter_(1, rank, offsets).flip(1)
    weights = by_rank - by_rank.roll(1, 1)
    weights[:, 0] += 1
    return weights


def _numbered(nearest: Tensor, rank: Tensor) -> tuple[Tensor, list[int]]:
    """A number for each vertex around each point, int64 [N, d + 1], and the strides of d axes.

    nearest, rank: int64 [N, d]. A vertex is (d + 1) · cell + remainder on every axis, with one
    remainder; its number is Σ stride · cell + remainder.
    """
    dimensions = nearest.shape[1]
    lowest = nearest.amin(0) - 2  # a vertex is up to a cell lower, and has neighbours
    sizes = (nearest.amax(0) - lowest + 2).tolist()
    strides, stride = [], dimensions + 1
    for size in sizes:
        strides.append(stride)
        stride *= size
    if stride >= 2**63:
        raise UserError(
            "the CRF's deviations, sxy and srgb, are too small for an image of this size; raise "
            "them"
        )
    factors = torch.tensor(strides, device=nearest.device)
    cells = nearest - lowest
    numbers = [
        ((cells - (rank > dimensions - remainder).long()) * factors).sum(1) + remainder
        for remainder in range(dimensions + 1)
    ]
    return torch.stack(numbers, 1), strides


def _neighbours(vertices: Tensor, strides: list[int]) -> tuple[Tensor, Tensor]:
    """`before` and `after` of `Lattice`; vertices: their numbers, int64 [M], ascending.

    The neighbour before is a step back on each axis and d steps forward on one.
    """
    count, dimensions = len(vertices), len(strides)
    back = torch.where(
        vertices % (dimensions + 1) == 0, vertices + dimensions - sum(strides), vertices - 1
    )
    before = torch.full((dimensions + 1, count + 1), count, device=vertices.device)
    after = before.clone()
    numbers = torch.arange(count, device=vertices.device)
    for axis, stride in enumerate([*strides, 0]):
        wanted = back + stride
        at = torch.searchsorted(vertices, wanted).clamp(max=count - 1)
        there = vertices[at] == wanted
        before[axis, :-1] = torch.where(there, at, count)
        after[axis, at[there]] = numbers[there]
    return before, after
