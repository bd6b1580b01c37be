"""timm's plain vision transformers as backbones: maps of their patches' tokens, at any image size.

An image whose sides are no multiples of the patch is resized (bilinear) to the nearest ones, one
patch at least, inside the network. So every cell of a map covers an equal part of the image, and
the map is over all of it: maps lie right when they are resized to the image, and no padding takes
part in attention or in the mean over cells. Position embeddings are interpolated by timm.

The features are the patches' tokens after the last block, under the final layer norm if the network
has one; class and register tokens take part in attention alone. The stages of methods that need
several are the outputs of four blocks evenly over the depth, under the same norm as in DINO's
public code, all of one stride.
"""

import re

import timm
from timm.models import eva, vision_transformer
from torch import Tensor, nn

from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.resize import resized

STAGES = 4
REFUSALS = (TypeError, NotImplementedError, AssertionError, ValueError)
"""What timm's networks raise for arguments that they do not take."""


def create_vision_transformer(backbone: Backbone) -> nn.Module:
    """The network without a head, with random weights, as `backbones.create_backbone` has it.

    Raises UserError for arguments that the network does not take.
    """
    return as_patches(created(backbone, backbone_arguments(backbone)), backbone)


def created(backbone: Backbone, arguments: dict[str, object]) -> nn.Module:
    """timm's network; raises UserError for arguments that it does not take."""
    try:
        return timm.create_model(backbone.name, **arguments)
    except REFUSALS as error:
        raise UserError(
            f"backbone.args: {backbone.name} does not take {backbone.args} ({error}); try others"
        ) from None


def as_patches(network: nn.Module, backbone: Backbone) -> nn.Module:
    """The network, without a head, as one that gives maps of its patches' tokens (`Patches`).

    Raises UserError for fewer blocks than there are stages.
    """
    normalized_last(network)
    depth = len(network.feature_info)
    if depth < STAGES:
        raise UserError(f"backbone.args: depth {depth} is too small; {STAGES} blocks are needed")
    blocks = [depth * number // STAGES - 1 for number in range(1, STAGES + 1)]
    kind = type(network)
    network.__class__ = type(
        kind.__name__, (Patches, kind), {"side": backbone.patch, "stage_blocks": blocks}
    )
    network.feature_info = [network.feature_info[block] for block in blocks]
    return network


def backbone_arguments(backbone: Backbone) -> dict[str, object]:
    """The arguments of timm for a vision transformer without a head, on images of any size.

    Raises UserError for an argument by which patches are left out.
    """
    if backbone.args.get("patch_drop_rate"):
        raise UserError("backbone.args: patch_drop_rate leaves holes in maps; leave it out")
    # timm's distilled DeiT takes no other pooling; the pooling belongs to the head, left out here.
    pooling = "token" if "distilled" in backbone.name else ""
    fixed = {"num_classes": 0, "global_pool": pooling, "dynamic_img_size": True}
    return fixed | backbone.args


def normalized_last(network: nn.Module) -> None:
    """Let a network normalise its tokens, where it would normalise their mean."""
    if isinstance(network.norm, nn.Identity) and not isinstance(network.fc_norm, nn.Identity):
        network.norm, network.fc_norm = network.fc_norm, nn.Identity()


def check_colours(backbone: Backbone) -> None:
    """Raises UserError unless images are normalised as for the hub's weights of this name."""
    known = timm.get_pretrained_cfg(backbone.name)
    for key in ("mean", "std"):
        ours, theirs = getattr(backbone, key), getattr(known, key)
        if any(abs(one - other) > 1e-3 for one, other in zip(ours, theirs, strict=True)):
            values = ", ".join(f"{value:.4g}" for value in theirs)
            raise UserError(
                f"backbone.{key}: {list(ours)}, but the pretrained weights of {backbone.name} are "
                f"for [{values}]; set backbone.{key}: [{values}]"
            )


def renamed_weights(state: dict[str, Tensor], network: nn.Module, source: str) -> dict[str, Tensor]:
    """A state dict under timm's names, from timm's or those of the authors' files that timm reads.

    Position embeddings for another size are interpolated. The layer norm after pooling, of weights
    that pool before it, becomes that of the tokens.
    network: a timm vision transformer. Raises UserError naming the source if timm cannot.
    """
    try:
        if isinstance(network, eva.Eva):
            named = eva.checkpoint_filter_fn(state, network)
        else:
            named = vision_transformer.checkpoint_filter_fn(state, network, adapt_layer_scale=True)
    except (KeyError, RuntimeError, ValueError, AttributeError, AssertionError) as error:
        raise UserError(
            f"{source}: timm cannot read these weights as a {type(network).__name__} ({error}); "
            "they may be for another network"
        ) from None
    if "norm.weight" not in named:
        after_pooling = re.compile(r"^fc_norm\.")
        named = {after_pooling.sub("norm.", name): tensor for name, tensor in named.items()}
    return named


class Patches:
    """A mixin that gives maps [B, C, h, w] of a vision transformer's tokens.

    side: of a patch in pixels; stage_blocks: numbers of the blocks that are stages; class_tokens:
    how many it has (`nets/class_tokens.py`).
    """

    side: int
    stage_blocks: list[int]
    class_tokens: int = 1

    def forward_features(self, images: Tensor) -> Tensor:
        """The last features of normalised images [B, 3, H, W]; h is H/side, rounded, at least 1."""
        return self.forward_tokens(images)[1]

    def forward_tokens(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The last tokens before the patches, [B, T, C], and the map of the patches' tokens."""
        images = self._fitted(images)
        tokens = super().forward_features(images)
        return tokens[:, : self.num_prefix_tokens], self._map(tokens, images)

    def forward_intermediates(
        self, images: Tensor, indices: int = STAGES, intermediates_only: bool = False
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The features of the last `indices` stages, shallow first, alone or after the last ones.

        Raises ValueError for another number than 1 to 4.
        """
        if not 1 <= indices <= STAGES:
            raise ValueError(f"there are {STAGES} stages, not {indices}")
        images = self._fitted(images)
        tokens, stages = super().forward_intermediates(
            images, indices=self.stage_blocks[-indices:], norm=True
        )
        return stages if intermediates_only else (self._map(tokens, images), stages)

    def _fitted(self, images: Tensor) -> Tensor:
        sides = (max(1, (side + self.side // 2) // self.side) for side in images.shape[-2:])
        return resized(images, [cells * self.side for cells in sides])

    def _map(self, tokens: Tensor, images: Tensor) -> Tensor:
        height, width = (side // self.side for side in images.shape[-2:])
        patches = tokens[:, self.num_prefix_tokens :]
        return patches.transpose(1, 2).unflatten(2, (height, width)).contiguous()
