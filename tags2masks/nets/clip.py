"""CLIP's image tower with the embeddings of texts, as a classifier that needs no training."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.backbones import Normalize, check_name
from tags2masks.nets.vision_transformers import (
    as_patches,
    backbone_arguments,
    created,
    normalized_last,
)


def create_tower(backbone: Backbone) -> nn.Module:
    """timm's image tower with its projection, or its attention pooling, and random weights.

    Raises UserError for an unknown name or arguments that the network does not take.
    """
    check_name(backbone.name)
    arguments = backbone_arguments(backbone)
    for of_head in ("num_classes", "global_pool"):
        arguments.pop(of_head)
    tower = created(backbone, arguments | backbone.args)
    normalized_last(tower)
    return tower


class Clip(nn.Module):
    """Logits are cosines of an image's and a text's embedding, times a scale.

    An image's embedding is the projection of the mean of the patches' tokens under the last layer
    norm, as in CLIP-ES's public code, where CLIP itself takes the class token. SigLIP's towers have
    attention pooling of the patches in place of the mean.

    tower: from `create_tower`; texts: float [classes + background, D], the classes' first. images:
    [B, 3, H, W] in 0 to 1. Raises UserError if the texts are not of the tower's D.
    """

    def __init__(self, tower: nn.Module, backbone: Backbone, classes: int, texts: Tensor, scale):
        super().__init__()
        self.normalize = Normalize(backbone)
        self.head, tower.head = tower.head, nn.Identity()
        self.attention_pool, tower.attn_pool = getattr(tower, "attn_pool", None), None
        self.backbone = as_patches(tower, backbone)
        numbers = getattr(self.head, "out_features", self.backbone.num_features)
        if texts.shape[1] != numbers:
            raise UserError(
                f"text_file, text_model: texts are embedded in {texts.shape[1]} numbers, images by "
                f"{backbone.name} in {numbers}; take the text tower that belongs to the image tower"
            )
        self.classes, self.scale = classes, scale
        self.register_buffer("texts", F.normalize(texts.float(), dim=1))

    def features(self, images: Tensor) -> Tensor:
        """The patches' tokens, [B, C, h, w]."""
        return self.backbone.forward_features(self.normalize(images))

    def embed(self, features: Tensor) -> Tensor:
        """The embeddings of images, [B, D], not normalised."""
        if self.attention_pool is None:
            return self.head(features.mean((2, 3)))
        return self.head(self.attention_pool(features.flatten(2).transpose(1, 2)))

    def compared(self, features: Tensor) -> Tensor:
        """The logits of all texts, [B, classes + background]."""
        return self.scale * F.normalize(self.embed(features), dim=1) @ self.texts.T

    def logits(self, features: Tensor) -> Tensor:
        """The logits of the classes, [B, K]."""
        return self.compared(features)[:, : self.classes]

    def score_maps(self, features: Tensor) -> Tensor:
        """What each cell adds to the logits, [B, K, h, w]: their mean is the logit.

        With attention pooling each cell is pooled alone, and the mean is not quite the logit.
        """
        batch, _, height, width = features.shape
        cells = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1], 1, 1)
        length = self.embed(features).norm(dim=1).clamp_min(1e-12)
        scores = self.scale * self.embed(cells) @ self.texts[: self.classes].T
        maps = scores.reshape(batch, height, width, -1).permute(0, 3, 1, 2)
        return maps / length[:, None, None, None]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes, [B, K]."""
        return self.logits(self.features(images))

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of the projection."""
        return list(self.head.parameters())

    @contextmanager
    def observed(self, layers: int) -> Iterator["Observed"]:
        """While images are seen: the last block's input to attention, from where gradients flow,
        and the attention of so many last blocks.

        Attention is computed as its matrix there, not by a fused kernel.
        """
        seen, blocks = Observed([]), list(self.backbone.blocks)[-layers:]

        def keep_tokens(_, __, tokens: Tensor) -> Tensor:
            seen.tokens = tokens.detach().requires_grad_()
            return seen.tokens

        def keep_attention(_, inputs: tuple[Tensor]) -> None:
            seen.attention.append(inputs[0].detach().mean(1))

        with ExitStack() as stack:
            for attention in [block.attn for block in blocks]:
                stack.callback(setattr, attention, "fused_attn", attention.fused_attn)
                attention.fused_attn = False
                hook = attention.attn_drop.register_forward_pre_hook(keep_attention)
                stack.callback(hook.remove)
            stack.callback(blocks[-1].norm1.register_forward_hook(keep_tokens).remove)
            yield seen


class Observed:
    """What is seen of a forward pass.

    tokens: [B, N, C], prefix tokens first; attention: of each block, the mean of its heads,
    [B, N, N], rows of which sum to 1.
    """

    tokens: Tensor | None = None

    def __init__(self, attention: list[Tensor]):
        self.attention = attention


def random_texts(count: int, tower: nn.Module) -> Tensor:
    """Random directions in place of texts, [count, D], for a tower's D."""
    return F.normalize(torch.randn(count, getattr(tower.head, "out_features", tower.num_features)))
