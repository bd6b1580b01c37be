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
    return OnEncoder(
        smp.DeepLabV3Plus,
        "DeepLabV3+",
        spec.backbone,
        classes,
        encoder_output_stride=stride,
        decoder_channels=spec.decoder_channels,
        **spec.backbone.args,
    )
