"""MCTformer's maps: attention added up block by block, against all of it kept, and a bare pass."""

from functools import partial

import torch
from torch import Tensor

from benchmarks.timing import Row, alternate, compared
from tags2masks.allocator import keep_freed_memory
from tags2masks.classifiers.mctformer import TokenClassifier, build
from tags2masks.config.hosts import MctFormer
from tags2masks.config.maps import MctFormerMaps
from tags2masks.config.training import Backbone
from tags2masks.maps.batch import plain_batch
from tags2masks.maps.label_gate import stretched
from tags2masks.maps.mctformer import SMALLEST, localize
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.class_tokens import attention_shown

TITLE = "Maps of class tokens: MCTformer"
HEADINGS = ("added up", "beside it")
ABOUT = (
    "Maps of 20 classes by DeiT-S with random weights, of an image and its mirror image in a pass, "
    "float32. Plain, as in the public code: the attention of all blocks and heads is kept, stacked "
    "and then averaged. The floor is the bare forward pass of both views, in which attention is "
    "fused and never there as a whole."
)


def make_network(quick: bool) -> TokenClassifier:
    """DeiT-S with 20 class tokens, or a small one; random weights."""
    small = {"depth": 4, "embed_dim": 12, "num_heads": 2} if quick else {}
    spec = MctFormer(backbone=Backbone(name="deit_small_patch16_224", args=small))
    torch.manual_seed(0)
    network = build(spec, 20).eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)


def kept(network: TokenClassifier, images: Tensor, spec: MctFormerMaps) -> Tensor:
    """What `localize` gives, from the attention of all blocks at once."""
    tokens = network.backbone.num_prefix_tokens

    def score(views: Tensor) -> Tensor:
        blocks = []
        with attention_shown(network.backbone, lambda number, shown: blocks.append(shown)):
            features = network.features(views)
        attention = torch.stack(blocks).mean(2)
        own = attention[-spec.layers :].sum(0)[:, :20, tokens:]
        maps = own.unflatten(2, features.shape[-2:]) * network.score_maps(features).relu()
        between = attention.sum(0)[:, tokens:, tokens:].unsqueeze(1)
        return torch.matmul(between, maps.flatten(2).unsqueeze(3)).view_as(maps)

    total = multi_scale(score, images, spec.scales, spec.flip, spec.stride, rectify=False)
    return stretched(total, SMALLEST)


def measure(quick: bool) -> list[Row]:
    """Seconds per image."""
    keep_freed_memory()  # as every program that runs a network does
    network, spec = make_network(quick), MctFormerMaps()
    rows = []
    for size in [(33, 47)] if quick else [(224, 224), (375, 500)]:
        images = torch.rand(1, 3, *size)
        views = torch.cat([images, images.flip(-1)])
        views = views.contiguous(memory_format=torch.channels_last)
        ours = partial(localize, network, plain_batch(images, 20), spec)
        plain = partial(kept, network, images, spec)
        torch.testing.assert_close(ours(), plain(), atol=1e-3, rtol=1e-3)
        network.features(views)
        times = alternate([ours, plain, partial(network.features, views)], 2 if quick else 5)
        what = f"an image of {size[0]} × {size[1]}"
        rows.append(compared(f"{what}; all attention kept", *times[:2]))
        rows.append(compared(f"{what}; floor: the bare pass", times[0], times[2]))
    return rows
