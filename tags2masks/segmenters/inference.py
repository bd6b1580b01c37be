"""Applying a segmentation network to whole images."""

import torch
from torch import Tensor, nn

from tags2masks.config.inference import Inference
from tags2masks.nets.resize import at_scale, resized


def predict(network: nn.Module, images: Tensor, inference: Inference) -> Tensor:
    """Probabilities of background and classes, averaged over scales and flips.

    images: [B, 3, H, W] in 0 to 1. Returns float32 [B, K+1, H, W].
    """
    total = 0
    for scale in inference.scales:
        scaled = at_scale(images, scale)
        if inference.flip:
            scaled = torch.cat([scaled, scaled.flip(-1)])
        shares = network(scaled.contiguous(memory_format=torch.channels_last)).float().softmax(1)
        if inference.flip:
            straight, mirrored = shares.chunk(2)
            shares = (straight + mirrored.flip(-1)) / 2
        total = total + resized(shares, images.shape[-2:])
    return total / len(inference.scales)
