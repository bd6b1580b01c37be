"""Applying a segmentation network to whole images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.segmenters import Test


def predict(network: nn.Module, images: Tensor, test: Test) -> Tensor:
    """Probabilities of background and classes, averaged over scales and flips.

    images: [B, 3, H, W] in 0 to 1. Returns float32 [B, K+1, H, W].
    """
    height, width = images.shape[-2:]
    total = 0
    for scale in test.scales:
        scaled = images
        if scale != 1:
            sides = (max(1, round(height * scale)), max(1, round(width * scale)))
            scaled = F.interpolate(images, sides, mode="bilinear", align_corners=False)
        if test.flip:
            scaled = torch.cat([scaled, scaled.flip(-1)])
        shares = network(scaled.contiguous(memory_format=torch.channels_last)).float().softmax(1)
        if test.flip:
            straight, mirrored = shares.chunk(2)
            shares = (straight + mirrored.flip(-1)) / 2
        total = total + F.interpolate(shares, (height, width), mode="bilinear", align_corners=False)
    return total / len(test.scales)
