"""Crops of an image and the sum of their saliency maps, for random crop and disc-crop.

Maruf et al. do not say how a crop is given to the network. Here a crop has the image's aspect
ratio, a share of its area drawn uniformly from `scale`, and lies inside the image. It is enlarged
to the image's size, so that objects are not smaller than in training and crops can share a pass.
Its map is averaged down to the crop's size and added at the crop's position. As in the paper the
sum is divided by the number of crops everywhere, so pixels near the border, which are in fewer
crops, score lower.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from tags2masks.config.saliency_maps import RandomCrop
from tags2masks.maps.gradients import saliency_maps
from tags2masks.nets.resize import resized


class Box(NamedTuple):
    """A crop's position in the image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, pixels: Tensor) -> Tensor:
        """The crop itself, a view of [..., H, W]."""
        return pixels[..., self.top : self.top + self.height, self.left : self.left + self.width]


def draw_boxes(size: tuple[int, int], spec: RandomCrop, generator: Generator) -> list[Box]:
    """Draw `spec.samples` crops of an image of this size."""
    height, width = size
    smallest, largest = spec.scale
    boxes = []
    for share, down, right in torch.rand(spec.samples, 3, generator=generator).tolist():
        side = (smallest + share * (largest - smallest)) ** 0.5
        sides = max(1, round(side * height)), max(1, round(side * width))
        top, left = int(down * (height - sides[0] + 1)), int(right * (width - sides[1] + 1))
        boxes.append(Box(top, left, *sides))
    return boxes


def crop_saliency(
    network: nn.Module, image: Tensor, classes: Tensor, boxes: Sequence[Box], spec: RandomCrop
) -> Tensor:
    """The sum of the crops' weighted maps, divided by the number of samples, [T, H, W].

    image: [3, H, W]; classes: int [T]; boxes: the crops to use, at most `spec.samples`.
    """
    size = image.shape[-2:]
    total = torch.zeros(len(classes), *size, device=image.device)
    for start in range(0, len(boxes), spec.samples_per_pass):
        together = boxes[start : start + spec.samples_per_pass]
        crops = [resized(box.of(image)[None], size) for box in together]
        maps, logits = saliency_maps(network, torch.cat(crops), classes.expand(len(together), -1))
        weighted = logits.sigmoid()[:, :, None, None] * maps
        for box, crop_map in zip(together, weighted, strict=True):
            box.of(total).add_(F.adaptive_avg_pool2d(crop_map, (box.height, box.width)))
    return total / spec.samples
