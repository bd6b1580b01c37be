"""C²AM: objects without any label (Xie et al., CVPR 2022).

The network and its loss are in `contrast.py`. After training, the borders of all training images
decide what P means: if more than half of them is foreground, the foreground is the background. The
public code decides it by the last batch of the first epoch, and P-NOC's at its 600th step.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from tags2masks.config.saliency_networks import C2am
from tags2masks.saliency_networks.contrast import ContrastNetwork, border_mean, contrast, share_of
from tags2masks.training import Moment


def build(spec: C2am, classes: int) -> ContrastNetwork:
    """The network, with random weights; classes are not used."""
    return ContrastNetwork(spec)


def step(
    network: ContrastNetwork, batch: list[Tensor], moment: Moment, spec: C2am
) -> dict[str, Tensor]:
    """The loss of a batch of images, uint8 [B, 3, S, S], and its terms."""
    (images,) = batch
    logits, foregrounds, backgrounds = network(images.float() / 255, spec.micro_batch)
    return contrast(foregrounds, backgrounds, spec) | {"salient": share_of(logits)}


def settle(network: ContrastNetwork, batches: Iterable[Tensor], spec: C2am) -> None:
    """Decide what the foreground is; batches: images, uint8 [B, 3, S, S], on the device."""
    total, count = 0.0, 0
    with torch.no_grad():
        for images in batches:
            shares = network.logits(images.float() / 255).sigmoid()
            total += border_mean(shares, spec.border).sum().item()
            count += len(images)
    network.inverted.fill_(total / count > 0.5)
