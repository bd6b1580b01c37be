"""The loss of a classifier around images, and around its weights.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 3.3.2 and
figure 3.4, after Moosavi-Dezfooli et al. (CVPR 2019): the loss of x + a·n + b·r, n along the
gradient of the loss and r random. An attack goes along n, an adversarial climb against it: one
surface has both. Of weights, Li et al. (NeurIPS 2018): θ + a·δ + b·η, both random, each filter with
the norm of the network's; biases and batch norm stay as they are.

The thesis does not give lengths, nor the number of images. Here both directions have a root mean
square of 1 over an image's values, which are 0 to 1 and not cut off; r is at right angles to n; the
loss is the mean binary cross entropy over the classes, and the surface its mean over images.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.analyses import Landscape

COLUMNS = ("around", "first", "second", "loss", "deviation", "images")

Views = Sequence[tuple[Tensor, Tensor, Sequence[int]]]
"""Batches: images [B, 3, H, W] in 0 to 1, targets [B, K], and the images' seeds."""


def losses(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The loss of each image, [B]; targets: [B, K], 0 or 1."""
    each = F.binary_cross_entropy_with_logits(network(images), targets, reduction="none")
    return each.mean(1)


def image_directions(
    network: nn.Module, images: Tensor, targets: Tensor, seeds: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """n and r of each image, [B, 3, H, W], with a root mean square of 1; 0 where there is no slope.

    seeds: of the images, for r.
    """
    with torch.enable_grad():
        moved = images.detach().requires_grad_()
        (normal,) = torch.autograd.grad(losses(network, moved, targets).sum(), moved)
    normal = _unit(normal)
    random = torch.stack(
        [torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(s)) for s in seeds]
    ).to(images)
    along = (random * normal).flatten(1).mean(1)
    return normal, _unit(random - along.view(-1, 1, 1, 1) * normal)


def _unit(direction: Tensor) -> Tensor:
    size = direction.flatten(1).square().mean(1).sqrt().view(-1, 1, 1, 1)
    return torch.where(size > 0, direction / size, 0)


def weight_directions(network: nn.Module, seed: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The weights of two or more dimensions, each with two directions of the norms of its filters.

    A filter is what gives one output: all but a weight's first dimension.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for weight in (parameter for parameter in network.parameters() if parameter.ndim > 1):
        pair = []
        for _ in range(2):
            direction = torch.randn(weight.shape, generator=generator).to(weight)
            norms = direction.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1)
            factor = (norms[1] / norms[0]).view(-1, *[1] * (weight.ndim - 1))
            pair.append(direction * factor)
        found.append((weight, *pair))
    return found


@contextmanager
def moved_weights(directions: list[tuple[Tensor, Tensor, Tensor]]) -> Iterator[Callable]:
    """Yield a function that sets the weights to θ + a·δ + b·η; they are restored at the end."""
    before = [weight.detach().clone() for weight, _, _ in directions]

    @torch.no_grad()
    def move(first: float, second: float) -> None:
        for (weight, one, other), trained in zip(directions, before, strict=True):
            weight.copy_(trained + first * one + second * other)

    try:
        yield move
    finally:
        move(0, 0)


@torch.no_grad()
def landscape(network: nn.Module, views: Views, spec: Landscape, seed: int) -> pd.DataFrame:
    """Rows (COLUMNS) of each point, by `first` and within it by `second`.

    first: a, along n (above 0 the loss rises, which is an attack) or δ; second: b, along r or η.
    loss, deviation: mean and standard deviation (ddof 0) over the images.
    """
    tables = []
    if "images" in spec.around:
        axis = _axis(spec.radius, spec.points)
        tables.append(_table("images", axis, _around_images(network, views, axis)))
    if "weights" in spec.around:
        axis = _axis(spec.weight_radius, spec.points)
        tables.append(_table("weights", axis, _around_weights(network, views, axis, seed)))
    return pd.concat(tables, ignore_index=True)


def _axis(radius: float, points: int) -> list[float]:
    return np.linspace(-radius, radius, points).round(12).tolist()


def _around_images(network: nn.Module, views: Views, axis: list[float]) -> np.ndarray:
    """The losses [points, points, N]."""
    parts = []
    for images, targets, seeds in views:
        normal, random = image_directions(network, images, targets, seeds)
        surface = [
            [losses(network, images + a * normal + b * random, targets) for b in axis] for a in axis
        ]
        parts.append(torch.stack([torch.stack(row) for row in surface]))
    return torch.cat(parts, -1).double().cpu().numpy()


def _around_weights(network: nn.Module, views: Views, axis: list[float], seed: int) -> np.ndarray:
    """The losses [points, points, N]."""
    surface = []
    with moved_weights(weight_directions(network, seed)) as move:
        for a in axis:
            for b in axis:
                move(a, b)
                found = [losses(network, images, targets) for images, targets, _ in views]
                surface.append(torch.cat(found))
    points = len(axis)
    return torch.stack(surface).unflatten(0, (points, points)).double().cpu().numpy()


def _table(around: str, axis: list[float], surface: np.ndarray) -> pd.DataFrame:
    first, second = np.meshgrid(axis, axis, indexing="ij")
    return pd.DataFrame(
        {
            "around": around,
            "first": first.ravel(),
            "second": second.ravel(),
            "loss": surface.mean(-1).ravel(),
            "deviation": surface.std(-1).ravel(),
            "images": surface.shape[-1],
        },
        columns=COLUMNS,
    )
