"""Which regions of an image reach which layer: high-gradient ratios, and those over RIB's steps.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 3.4.2,
figures 3.11 and 3.12. G_l = ∇_x Σ T_l, the gradient of the sum of a layer's features, and G_(L+1) =
∇_x y^c, that of the class's logit. The high-gradient ratio of a region is the share of its pixels
whose gradient is above 0.3. Regions are the digit (discriminative), the planted shape
(non-discriminative) and the rest (background).

The thesis does not say in what unit 0.3 is. Here a pixel's gradient is the largest absolute one of
its colours, divided by the maximum of a map (`maximum` of `config.analyses.Gradients`).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tags2masks.config.analyses import Gradients
from tags2masks.config.climbing import Rib
from tags2masks.data.mnist import DIGIT, SHAPE
from tags2masks.data.training_images import TrainingImages
from tags2masks.maps.rib import adapt, companions, trainable
from tags2masks.nets.backbones import stage_features
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.convnet import ConvNet

REGIONS = ("discriminative", "non-discriminative", "background")
COLUMNS = ("over", "number", "region", "ratio", "images")


class ImageMaps(NamedTuple):
    """The gradient maps of an image: of the layers, [L + 1, H, W], and over steps, [K + 1, H, W].

    regions: uint8 [H, W], DIGIT, SHAPE and 0.
    """

    layers: Tensor
    steps: Tensor
    regions: np.ndarray


def layers(network: Classifier, image: Tensor) -> list[Tensor]:
    """The features T_l of every layer, [1, C_l, h_l, w_l], shallow to deep.

    image: [1, 3, H, W] in 0 to 1. Layers are those of `convnet` after their ReLU, else the stages
    of timm's networks. Raises UserError for a network without access to its stages.
    """
    backbone, values = network.backbone, network.normalize(image)
    if isinstance(backbone, ConvNet):
        found = []
        for layer in backbone.layers:
            values = layer(values)
            if isinstance(layer, torch.nn.ReLU):
                found.append(values)
        return found
    return stage_features(backbone, values, len(getattr(backbone, "feature_info", [])) or 1)


def gradient_map(output: Tensor, image: Tensor) -> Tensor:
    """The largest absolute gradient of a number over the colours of each pixel, [H, W]."""
    (gradient,) = torch.autograd.grad(output, image, retain_graph=True)
    return gradient.abs().amax((0, 1))


@torch.enable_grad()
def layer_maps(network: Classifier, image: Tensor, number: int) -> Tensor:
    """G_1 to G_(L+1), [L + 1, H, W]; image: [1, 3, H, W] in 0 to 1; number: of the class."""
    image = image.detach().requires_grad_()
    maps = [gradient_map(features.sum(), image) for features in layers(network, image)]
    return torch.stack([*maps, gradient_map(network(image)[0, number], image)])


def step_maps(
    network: Classifier,
    image: Tensor,
    number: int,
    draws: list,
    spec: Rib,
    training: TrainingImages,
) -> Tensor:
    """∇_x y^c of the trained network and after each of RIB's steps, [K + 1, H, W].

    Fewer after an early exit. draws: from `rib.companions`; the weights must be the trained ones,
    and are others afterwards.
    """
    tagged = torch.arange(network.head.out_channels, device=image.device) == number
    maps = []
    for _ in adapt(network, image, tagged, draws, spec, training):
        with torch.enable_grad():
            looked_at = image.detach().requires_grad_()
            maps.append(gradient_map(network(looked_at)[0, number], looked_at))
    return torch.stack(maps)


def ratios(maps: Tensor, regions: np.ndarray, spec: Gradients) -> np.ndarray:
    """The high-gradient ratios of each map and of each of REGIONS: float64 [n, 3].

    maps: [n, H, W]; regions: uint8 [H, W], DIGIT, SHAPE and 0. NaN for a region without pixels. A
    map of zeros has no high gradient.
    """
    high = (maps > spec.above * _maxima(maps, spec)).cpu().numpy()
    of_regions = [regions == DIGIT, regions == SHAPE, (regions != DIGIT) & (regions != SHAPE)]
    return np.stack(
        [high[:, of].mean(1) if of.any() else np.full(len(high), np.nan) for of in of_regions], 1
    )


def relative(maps: Tensor, spec: Gradients) -> np.ndarray:
    """Maps in units of the maximum that `ratios` has: float16 [n, H, W]; 0 where that is 0."""
    maxima = _maxima(maps, spec)
    return torch.where(maxima > 0, maps / maxima, 0).cpu().numpy().astype(np.float16)


def _maxima(maps: Tensor, spec: Gradients) -> Tensor:
    """[n, 1, 1], or [1, 1, 1] where the first map's counts for all."""
    maxima = maps.amax((-2, -1), keepdim=True)
    return maxima if spec.maximum == "own" else maxima[:1]


def table(over: str, first: int, found: Sequence[np.ndarray]) -> pd.DataFrame:
    """Rows (COLUMNS) of the means over images; found: `ratios` of each; first: number of a row."""
    rows = []
    for place in range(max(map(len, found))):
        mine = np.stack([one[place] for one in found if len(one) > place])
        for name, value in zip(REGIONS, mine.mean(0), strict=True):
            rows.append((over, first + place, name, value, len(mine)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def image_maps(
    network: Classifier,
    images: Iterator[tuple[Tensor, int, np.ndarray, int]],
    rib: Rib,
    training: TrainingImages,
) -> Iterator[ImageMaps]:
    """The gradient maps of images, one after another.

    images: of each [1, 3, H, W] in 0 to 1, the number of its class, its regions and its seed. The
    weights are the trained ones at the end.
    """
    with trainable(network) as restore:
        for image, number, regions, seed in images:
            restore()
            by_layer = layer_maps(network, image, number)
            tagged = np.arange(network.head.out_channels) == number
            others = np.flatnonzero(training.sharing_no_tag(tagged[None])[0])
            draws = companions(others, seed, rib)
            by_step = step_maps(network, image, number, draws, rib, training)
            yield ImageMaps(by_layer, by_step, regions)


def gradient_table(images: Iterable[ImageMaps], spec: Gradients) -> pd.DataFrame:
    """Rows (COLUMNS) over layers, from 1, and over RIB's steps, from 0."""
    by_layer, by_step = [], []
    for maps in images:
        by_layer.append(ratios(maps.layers, maps.regions, spec))
        by_step.append(ratios(maps.steps, maps.regions, spec))
    return pd.concat([table("layer", 1, by_layer), table("step", 0, by_step)], ignore_index=True)
