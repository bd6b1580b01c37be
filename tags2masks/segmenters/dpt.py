"""DPT (Ranftl, Bochkovskiy & Koltun, ICCV 2021) of segmentation-models-pytorch on a timm ViT.

The tokens of four blocks, each with the class token projected into it, become maps at a quarter to
a thirty-second of the image's size, which are fused from coarse to fine. Trained with cross entropy
on pseudo-masks. Differs from the paper: four blocks evenly over the depth (the paper: 5, 12, 18, 24
of ViT-L's 24, here 6, 12, 18, 24), no auxiliary head. Without a class token the first register
token takes its place; without any, maps are of the patches alone.
"""

import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from tags2masks.config.segmenters import Dpt
from tags2masks.nets.vision_transformers import backbone_arguments
from tags2masks.segmenters.learning import step
from tags2masks.segmenters.networks import OnEncoder

__all__ = ["build", "step"]

COARSEST = 32
"""Pixels per cell of the coarsest map, which must be halved without rest for all finer ones."""


def build(spec: Dpt, classes: int) -> nn.Module:
    """The network, with random weights. Raises UserError as `OnEncoder` does."""
    channels, arguments = spec.decoder_channels, backbone_arguments(spec.backbone)
    network = OnEncoder(
        smp.DPT,
        "DPT",
        spec.backbone,
        classes,
        stride=COARSEST,
        decoder_fusion_channels=channels,
        decoder_intermediate_channels=[channels, 2 * channels, 4 * channels, 4 * channels],
        decoder_readout="cat" if _has_further_tokens(spec.backbone.name, arguments) else "ignore",
        **arguments,
    )
    # The blocks' tokens are taken before it, and weights without a gradient stop several GPUs.
    network.backbone.norm = network.backbone.fc_norm = nn.Identity()
    return network


def _has_further_tokens(name: str, arguments: dict[str, object]) -> bool:
    with torch.device("meta"):
        return timm.create_model(name, **arguments).num_prefix_tokens > 0
