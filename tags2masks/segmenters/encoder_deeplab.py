"""DeepLabV3+ on a timm encoder, the network of several methods; by segmentation-models-pytorch."""

import segmentation_models_pytorch as smp
from torch import nn

from tags2masks.config.segmenters import DeepLabV3Plus
from tags2masks.errors import UserError
from tags2masks.segmenters.networks import OnEncoder


def build(spec: DeepLabV3Plus, classes: int) -> nn.Module:
    """The network, with random weights.

    Raises UserError for an output stride or an encoder that the decoder does not support.
    """
    stride = spec.backbone.output_stride
    if stride == 32:
        raise UserError("segmenters: DeepLabV3+ takes backbone.output_stride 8 or 16")
    network = OnEncoder(
        smp.DeepLabV3Plus,
        "DeepLabV3+",
        spec.backbone,
        classes,
        encoder_output_stride=stride,
        decoder_channels=spec.decoder_channels,
        **spec.backbone.args,
    )
    if spec.decoder_groups:
        _group_norm(network.network.decoder, spec.decoder_groups)
    return network


def _group_norm(module: nn.Module, groups: int) -> None:
    """Put group norm in the place of all batch norm in a module."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            if child.num_features % groups:
                raise UserError(
                    f"decoder_groups: {groups} groups do not divide the decoder's "
                    f"{child.num_features} channels; choose a divisor, such as 4"
                )
            setattr(module, name, nn.GroupNorm(groups, child.num_features))
        else:
            _group_norm(child, groups)
