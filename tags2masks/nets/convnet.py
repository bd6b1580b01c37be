"""A plain network of equal convolutions, for the study of contribution windows.

Source: Maruf et al., "Beyond discriminative regions" (2023), section 5.1: five layers of F × F
kernels, each followed by ReLU, with zero padding that keeps the size. The paper gives neither the
number of channels nor the initialisation; here 16 channels and He's normal initialisation.
"""

from itertools import pairwise

from torch import Tensor, nn


class ConvNet(nn.Module):
    """Features at the image's own size; a pixel's contribution window is layers·(F − 1) + 1 wide.

    kernel: F, odd. Raises ValueError when it is even, or when a number is not positive.
    """

    def __init__(self, kernel: int = 3, channels: int = 16, layers: int = 5):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0 or channels < 1 or layers < 1:
            raise ValueError("kernel must be odd, channels and layers at least 1")
        sides = [3, *[channels] * layers]
        self.layers = nn.Sequential()
        for before, after in pairwise(sides):
            convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)
            self.layers.extend([convolution, nn.ReLU()])

    def forward_features(self, images: Tensor) -> Tensor:
        """images: [B, 3, H, W]. Returns [B, channels, H, W]."""
        return self.layers(images)
