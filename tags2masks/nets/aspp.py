"""ASPP of DeepLab-v2 (Chen et al., TPAMI 2018): parallel dilated convolutions, summed."""

from torch import Tensor, nn


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
