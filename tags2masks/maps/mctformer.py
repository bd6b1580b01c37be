"""Maps of MCTformer (Xu et al., CVPR 2022): what class tokens attend to, times the patches' scores.

Of a class: the attention of its token to the patches, averaged over heads and summed over the last
`layers` blocks, times the positive part of its score map (PatchCAM). The product is refined once: a
patch takes the sum over all patches of what it attends to, by the attention between patches of all
blocks. Maps of scales and mirror images are summed, then stretched from their minimum to their
maximum.

With `patch_map: lpcam` the positive part of LPCAM (Chen & Sun, CVPR 2023) of the patches' tokens is
in the place of PatchCAM's, as its author says of its MCTformer rows; attention and refinement stay.
A prototype is judged by the sum of the head's nine taps, its score where the feature is all around:
the paper says nothing of heads that are no linear layer.

Attention is added up block by block, so that memory holds that of one block and two sums.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tags2masks.config.maps import MctFormerMaps
from tags2masks.errors import UserError
from tags2masks.maps.batch import Batch
from tags2masks.maps.label_gate import stretched
from tags2masks.maps.likeness import fold, likeness
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.class_tokens import attention_shown
from tags2masks.nets.classifier import Classifier
from tags2masks.prototypes.store import ClassPrototypes

SMALLEST = 1e-8  # as in the public code: the products are small


def localize(
    network: Classifier,
    batch: Batch,
    spec: MctFormerMaps,
    *,
    prototypes: Sequence[ClassPrototypes] | None = None,
) -> Tensor:
    """Maps of every class.

    network: has `class_tokens`, which the config ensures; prototypes: for `lpcam`, of every class.
    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1, all zero where a class scores the same
    everywhere. Raises UserError for more `layers` than the backbone has blocks.
    """
    depth = len(network.backbone.blocks)
    if spec.layers > depth:
        raise UserError(
            f"maps: layers is {spec.layers}, but the classifier's backbone has {depth} blocks; "
            f"take {depth} or fewer"
        )
    folded = fold(prototypes, spec.context).to(batch.images.device) if prototypes else None

    def score(views: Tensor) -> Tensor:
        features, attended, between = seen(network, views, spec.layers)
        if spec.kind == "attention":
            maps = attended
        else:
            patches = patch_maps(network, features, folded)
            maps = patches if spec.kind == "patch" else fused(attended, patches)
        return refined(maps, between) if spec.refine else maps

    total = multi_scale(
        score, batch.images, spec.scales, spec.flip, spec.stride, rectify=False
    )  # nothing in them is negative
    return stretched(total, SMALLEST)


def seen(network: Classifier, images: Tensor, layers: int) -> tuple[Tensor, Tensor, Tensor]:
    """The features [B, C, h, w] of images, and sums of the attention behind them, in float32.

    Attention of each class's token to the patches over the last `layers` blocks, [B, K, h, w], and
    of each patch to the patches over all blocks, [B, h·w, h·w]; both averaged over heads.
    """
    backbone = network.backbone
    first, tokens = len(backbone.blocks) - layers, backbone.num_prefix_tokens
    sums: list[Tensor | int] = [0, 0]

    def add(number: int, attention: Tensor) -> None:
        mean = attention.float().mean(1)
        if number >= first:
            sums[0] = sums[0] + mean[:, : backbone.class_tokens, tokens:]
        sums[1] = sums[1] + mean[:, tokens:, tokens:]

    with attention_shown(backbone, add):
        features = network.features(images)
    return features, sums[0].unflatten(2, features.shape[-2:]), sums[1]


def patch_maps(network: Classifier, features: Tensor, folded: Tensor | None) -> Tensor:
    """The positive part of PatchCAM, or of LPCAM with folded prototypes [K, C]: [B, K, h, w]."""
    if folded is None:
        return network.score_maps(features).float().relu()
    if not folded.shape[1]:  # no class has a prototype
        return features.new_zeros((len(features), len(folded), *features.shape[-2:]))
    return likeness(features, folded).relu()


def fused(attended: Tensor, patches: Tensor) -> Tensor:
    """The product of both, [B, K, h, w]."""
    return attended * patches


def refined(maps: Tensor, between: Tensor) -> Tensor:
    """Maps [B, K, h, w] spread by attention between patches [B, h·w, h·w]: Σ_j A_ij m_j at i."""
    return torch.einsum("bij,bkj->bki", between, maps.flatten(2)).unflatten(2, maps.shape[-2:])
