"""Feature pyramids (Lin et al., CVPR 2017) on networks of timm, with torchvision's layers."""

from collections import OrderedDict

import timm
import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.backbones import check_name

STRIDES = (4, 8, 16, 32)
CELL = 2 * STRIDES[-1]
"""Sides of images are multiples of this, the stride of the last level."""


class Pyramid(nn.Module):
    """Features of five levels: strides 4, 8, 16 and 32, and every second cell of the last.

    images: normalised, [B, 3, H, W] with sides that are multiples of `CELL`.
    Raises UserError for a backbone without features [B, C, H/s, W/s] of these strides.
    """

    def __init__(self, backbone: Backbone, channels: int):
        super().__init__()
        check_name(backbone.name)
        try:
            self.backbone = timm.create_model(backbone.name, features_only=True, **backbone.args)
        except (TypeError, RuntimeError, AttributeError, AssertionError, ValueError) as error:
            raise UserError(
                f"backbone.name: {backbone.name} gives no features for a pyramid ({error}); choose "
                "another, such as resnet50"
            ) from None
        strides = self.backbone.feature_info.reduction()
        self.places = [strides.index(stride) for stride in STRIDES if stride in strides]
        widths = [self.backbone.feature_info.channels()[place] for place in self.places]
        _check_shapes(self._stages, backbone.name, widths)
        self.layers = FeaturePyramidNetwork(widths, channels, LastLevelMaxPool())
        self.out_channels = channels

    def _stages(self, images: Tensor) -> list[Tensor]:
        found = self.backbone(images)
        return [found[place] for place in self.places]

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """The levels by name, the finest first, each [B, channels, h, w] in float32."""
        levels = {str(level): stage for level, stage in enumerate(self._stages(images))}
        return OrderedDict((n, f.float()) for n, f in self.layers(OrderedDict(levels)).items())


def _check_shapes(stages, name: str, widths: list[int]) -> None:
    sides = (CELL, 2 * CELL)
    wanted = [
        (1, width, *(side // stride for side in sides))
        for width, stride in zip(widths, STRIDES, strict=False)
    ]
    try:
        with torch.no_grad():
            shapes = [tuple(stage.shape) for stage in stages(torch.zeros(1, 3, *sides))]
        problem = f"their shapes are {shapes} for an image of {sides[0]} × {sides[1]}"
    except (AssertionError, RuntimeError) as error:
        shapes, problem = [], str(error)
    if shapes != wanted or len(wanted) < len(STRIDES):
        raise UserError(
            f"backbone.name: {name} gives no features of strides {', '.join(map(str, STRIDES))} "
            f"([B, C, h, w]; {problem}); choose a convolutional network, such as resnet50"
        )


def freeze_stages(backbone: nn.Module, count: int) -> None:
    """Stop the learning of the first stages' weights, and of what comes before them.

    backbone: a network of timm with `features_only`; count: of the stages that timm lists.
    Raises UserError for more stages than there are, or for a network that does not name them.
    """
    if not count:
        return
    names = backbone.feature_info.module_name()
    if count > len(names):
        raise UserError(
            f"frozen_stages: {count}, but {type(backbone).__name__} has {len(names)} stages; lower "
            "it"
        )
    known, last = dict(backbone.named_modules()), names[count - 1]
    stage = known.get(last, known.get(last.replace(".", "_")))
    if stage is None:
        raise UserError(
            f"frozen_stages: {type(backbone).__name__} does not name its stages; set it to 0"
        )
    inside, reached = set(stage.modules()), False
    for module in backbone.modules():
        reached = reached or module is stage
        if reached and module not in inside:
            return
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
