"""DeepLab-v2 (Chen et al., TPAMI 2018): parallel dilated convolutions (ASPP) on the last features.

ASPP is of the published ResNet-101: one 3 × 3 convolution per rate straight to the classes, summed.
Trained with cross entropy on pseudo-masks. Differs from the paper: features of one scale (the
paper trains on the maximum over three), the loss at the image's size (there at the features').
"""

from torch import nn

from tags2masks.config.segmenters import DeepLabV2
from tags2masks.nets.aspp import Aspp
from tags2masks.segmenters.learning import step
from tags2masks.segmenters.networks import OnFeatures

__all__ = ["build", "step"]


def build(spec: DeepLabV2, classes: int) -> nn.Module:
    """The network, with random weights. Raises UserError as `OnFeatures` does."""
    return OnFeatures(spec.backbone, lambda channels: Aspp(channels, classes + 1, spec.rates))
