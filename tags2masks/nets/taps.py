"""A timm network's feature maps at every depth, for networks built on several of them."""

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.backbones import check_name


def create_taps(backbone: Backbone) -> tuple[nn.Module, list[int], list[int]]:
    """A timm network that gives a list of maps, with random weights; their channels and strides.

    Its parameters have the names that they have in the network with a head.
    Raises UserError for a network without maps of strides 4, 8 and 16, or with other arguments.
    """
    check_name(backbone.name)
    stride = {} if backbone.output_stride == 32 else {"output_stride": backbone.output_stride}
    try:
        network = timm.create_model(backbone.name, features_only=True, **stride, **backbone.args)
    except (TypeError, NotImplementedError, AssertionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"backbone.name: {backbone.name} gives no maps at several depths with output_stride "
            f"{backbone.output_stride} and args {backbone.args} ({error}); choose a convolutional "
            "network, or output_stride 32"
        ) from None
    strides = network.feature_info.reduction()
    if not {4, 8} <= set(strides):
        raise UserError(
            f"backbone.name: {backbone.name} has maps of strides {strides}, but 4 and 8 are needed"
        )
    return network, network.feature_info.channels(), strides


def resized(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Features [B, C, h, w] at another size: pooled where they are larger, else interpolated."""
    if features.shape[-1] > size[1] or features.shape[-2] > size[0]:
        features = F.max_pool2d(features, 3, stride=2, padding=1)
    if features.shape[-2:] == torch.Size(size):
        return features
    return F.interpolate(features, size, mode="bilinear", align_corners=False)
