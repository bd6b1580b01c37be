"""Disc-crop (Maruf et al., appendix D.2): random crop that leaves out crops of high CAM.

A crop is kept with probability ReLU(β − S_cam). S_cam is the CAM of disc-patch, averaged over the
crop. With the maximum instead, a crop that contains CAM's peak of 1 would never be kept, and the
most discriminative part of the object would get no score. Crops that are left out need no pass; the
sum is divided by the number of all crops, as in the paper.
"""

import torch
from torch import Generator, Tensor

from tags2masks.config.saliency_maps import DiscCrop
from tags2masks.maps.batch import Batch
from tags2masks.maps.crops import Box, crop_saliency, draw_boxes
from tags2masks.maps.gradients import each_image
from tags2masks.maps.plain_cam import class_cams
from tags2masks.nets.classifier import Classifier


def localize(network: Classifier, batch: Batch, spec: DiscCrop) -> Tensor:
    """Maps of the tagged classes, the others zero; all zero where no crop was kept.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """

    def aggregate(image: Tensor, classes: Tensor, generator: Generator) -> Tensor:
        boxes = draw_boxes(image.shape[-2:], spec, generator)
        chances = spec.beta - crop_scores(class_cams(network, image, classes), boxes)
        kept = torch.rand(len(boxes), generator=generator) < chances
        wanted = [box for box, keep in zip(boxes, kept.tolist(), strict=True) if keep]
        return crop_saliency(network, image, classes, wanted, spec)

    return each_image(batch, spec.stride, aggregate)


def crop_scores(maps: Tensor, boxes: list[Box]) -> Tensor:
    """The mean CAM of every crop, maximum over the classes, [n]; maps: [T, H, W]."""
    return torch.stack([box.of(maps).mean((-2, -1)).amax() for box in boxes])
