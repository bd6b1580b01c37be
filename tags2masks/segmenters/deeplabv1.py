"""DeepLab-v1 (Chen et al., ICLR 2015): one dilated convolution of a large field of view.

The head is that of SEAM's public code on ResNet-38d, also used in the paper on importance sampling:
3 × 3 at dilation 12, then 1 × 1, both with batch norm and ReLU, dropout, a linear layer. The
original head has two dropouts, 1024 channels and no batch norm, on VGG-16. Trained with cross
entropy on pseudo-masks. Differs from SEAM's code: inference averages probabilities over scales, not
logits.
"""

from torch import nn

from tags2masks.config.segmenters import DeepLabV1
from tags2masks.segmenters.learning import step
from tags2masks.segmenters.networks import OnFeatures

__all__ = ["build", "step"]

DILATION = 12


def _head(channels: int, within: int, outputs: int) -> nn.Sequential:
    head = nn.Sequential(
        nn.Conv2d(channels, within, 3, padding=DILATION, dilation=DILATION, bias=False),
        nn.BatchNorm2d(within),
        nn.ReLU(),
        nn.Conv2d(within, within, 1, bias=False),
        nn.BatchNorm2d(within),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(within, outputs, 1),
    )
    for layer in head:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return head


def build(spec: DeepLabV1, classes: int) -> nn.Module:
    """The network, with random weights. Raises UserError as `OnFeatures` does."""
    return OnFeatures(
        spec.backbone, lambda channels: _head(channels, spec.head_channels, classes + 1)
    )
