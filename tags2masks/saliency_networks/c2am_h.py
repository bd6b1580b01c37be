"""C²AM with hints (C²AM-H; David et al., P-NOC, 2023, eq. 5).

Where a class scores above `hint_score` in the maps of another chain, the network is told that there
is an object. So its foreground is the object, and nothing has to be decided after training.

Differs from the public code: hints are the stored maps, resized with the image by nearest
neighbour and reduced to the network's cells by bicubic interpolation as there; a batch without a
hint adds nothing (there its loss is no number).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tags2masks.config.saliency_networks import C2amH
from tags2masks.data.masked import MaskedViews
from tags2masks.data.views import Draw
from tags2masks.labels import unchecked_views
from tags2masks.masks.seeds import upsample
from tags2masks.saliency_networks.contrast import ContrastNetwork, contrast, share_of
from tags2masks.task import Task
from tags2masks.training import Moment


class HintViews(MaskedViews):
    """`MaskedViews` of maps: the highest score of any class, in 255ths; 0 in the padding."""

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        image, highest = super().__getitem__(draw)
        return image, highest[..., 0]

    def _labels(self, row: int) -> np.ndarray:
        maps, attributes = self._shard(row).read(self.images[row])
        scores = upsample(maps, tuple(attributes["size"]))
        highest = scores.max(0) if len(scores) else np.zeros(scores.shape[1:], np.float32)
        # A third axis: as for probabilities, there is none in the padding.
        return np.rint(255 * highest).astype(np.uint8)[..., None]


def views(task: Task) -> HintViews:
    """Random views: batches are (images, highest scores)."""
    return unchecked_views(task, "maps", HintViews)


def build(spec: C2amH, classes: int) -> ContrastNetwork:
    """The network, with random weights; classes are not used."""
    return ContrastNetwork(spec)


def step(
    network: ContrastNetwork, batch: list[Tensor], moment: Moment, spec: C2amH
) -> dict[str, Tensor]:
    """The loss of images, uint8 [B, 3, S, S], and highest scores in 255ths, uint8 [B, S, S]."""
    images, highest = batch
    logits, foregrounds, backgrounds = network(images.float() / 255, spec.micro_batch)
    figures = contrast(foregrounds, backgrounds, spec)
    hints = F.interpolate(highest[:, None].float() / 255, logits.shape[-2:], mode="bicubic")
    figures["hints"] = hint_loss(logits, hints, spec)
    figures["loss"] = figures["loss"] + spec.hint_weight * figures["hints"]
    return figures | {"salient": share_of(logits)}


def hint_loss(logits: Tensor, hints: Tensor, spec: C2amH) -> Tensor:
    """Binary cross entropy of the cells with a hint against an object, both [B, 1, h, w]."""
    hinted = logits.float()[hints > spec.hint_score]
    target = torch.full_like(hinted, 1 - spec.label_smoothing / 2)
    total = F.binary_cross_entropy_with_logits(hinted, target, reduction="sum")
    return total / max(1, hinted.numel()) if spec.hint_mean == "cells" else total
