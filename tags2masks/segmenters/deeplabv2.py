"""DeepLab-v2 (Chen et al., TPAMI 2018): parallel dilated convolutions (ASPP) on the last features.

ASPP is of the published ResNet-101: one 3 × 3 convolution per rate straight to the classes, summed.
Trained with cross entropy on pseudo-masks. Differs from the paper: features of one scale (the
paper trains on the maximum over three), the loss at the image's size (there at the features').
"""

from torch import Tensor, nn

from tags2masks.config.segmenters import DeepLabV2
from tags2masks.segmenters.learning import step
from tags2masks.segmenters.networks import OnFeatures

__all__ = ["build", "step"]


class Aspp(nn.Module):
    """The sum of 3 × 3 convolutions of several dilations: [B, C, h, w] to [B, outputs, h, w]."""

    def __init__(self, channels: int, outputs: int, rates: tuple[int, ...]):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, outputs, 3, padding=rate, dilation=rate) for rate in rates
        )
        for branch in self.branches:
            nn.init.normal_(branch.weight, std=0.01)
            nn.init.zeros_(branch.bias)

    def forward(self, features: Tensor) -> Tensor:
        return sum(branch(features) for branch in self.branches)


def build(spec: DeepLabV2, classes: int) -> nn.Module:
    """The network, with random weights. Raises UserError as `OnFeatures` does."""
    return OnFeatures(spec.backbone, lambda channels: Aspp(channels, classes + 1, spec.rates))
