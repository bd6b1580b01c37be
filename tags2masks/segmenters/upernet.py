"""UPerNet (Xiao et al., ECCV 2018) of segmentation-models-pytorch on a timm encoder, such as Swin.

Trained with cross entropy on pseudo-masks. Differs from mmsegmentation, which LPCAM's authors use:
the library's decoder applies layer norm to each stage's features, and there is no auxiliary head.
"""

import segmentation_models_pytorch as smp
from torch import nn

from tags2masks.config.segmenters import UPerNet
from tags2masks.errors import UserError
from tags2masks.segmenters.learning import step
from tags2masks.segmenters.networks import OnEncoder

__all__ = ["build", "step"]


def build(spec: UPerNet, classes: int) -> nn.Module:
    """The network, with random weights.

    Raises UserError for an output stride other than 32, which the pyramid needs, and for an encoder
    that it does not support.
    """
    backbone = spec.backbone
    if backbone.output_stride != 32:
        raise UserError("segmenters: UPerNet takes backbone.output_stride 32 alone")
    # By default timm's Swin transformers accept only images of their training size.
    sizes = {"strict_img_size": False} if backbone.name.startswith("swin") else {}
    return OnEncoder(
        smp.UPerNet,
        "UPerNet",
        backbone,
        classes,
        decoder_channels=spec.decoder_channels,
        **(sizes | backbone.args),
    )
