"""A class token for each class in a plain vision transformer, and the attention of its blocks.

Source: Xu et al., "Multi-class token transformer for weakly supervised semantic segmentation", CVPR
2022. The pretrained class token and its position embedding are repeated; patches, and register
tokens if there are any, stay as they are.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from tags2masks.errors import UserError


def repeat_class_token(network: nn.Module, count: int, name: str) -> None:
    """Put so many copies of the class token in its place, each with its position embedding.

    network: one of `nets.vision_transformers`, called `name` in the config. Raises UserError for a
    network without a class token, or whose attention cannot be recorded.
    """
    if network.cls_token is None:
        raise UserError(
            f"backbone.name: {name} has no class token, which the method repeats for each class; "
            "take one such as deit_small_patch16_224 or vit_small_patch14_dinov2"
        )
    if not all(hasattr(getattr(block, "attn", None), "attn_drop") for block in network.blocks):
        raise UserError(
            f"backbone.name: {name} does not show the attention of its blocks; take one such as "
            "deit_small_patch16_224"
        )
    network.cls_token = nn.Parameter(network.cls_token.detach().repeat(1, count, 1))
    if network.pos_embed is not None and not network.no_embed_class:
        own, others = network.pos_embed.detach().split([1, network.pos_embed.shape[1] - 1], 1)
        network.pos_embed = nn.Parameter(torch.cat([own.repeat(1, count, 1), others], 1))
    network.num_prefix_tokens += count - 1
    network.class_tokens = count
    for block in network.blocks:
        if hasattr(block.attn, "num_prefix_tokens"):  # rotary positions are of what follows them
            block.attn.num_prefix_tokens = network.num_prefix_tokens


@contextmanager
def attention_shown(network: nn.Module, show: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Call `show(number, attention)` for every block that runs within the context.

    number: of the block, from 0; attention: [B, heads, T, T], a row is what a token takes of each.
    Blocks run unfused there: fused kernels do not give their attention. In evaluation mode.
    """

    def hook(number: int) -> Callable:
        return lambda module, inputs, attention: show(number, attention)

    with ExitStack() as stack:
        for number, block in enumerate(network.blocks):
            fused, block.attn.fused_attn = block.attn.fused_attn, False
            stack.callback(setattr, block.attn, "fused_attn", fused)
            handle = block.attn.attn_drop.register_forward_hook(hook(number))
            stack.callback(handle.remove)
        yield
