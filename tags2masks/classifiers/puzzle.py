"""Puzzle-CAM: a classifier whose maps of an image and of its four quarters agree.

Sources: Jo & Yu, ICIP 2021; P-NOC paper, section 3.1 and eq. 1, first three terms. The maps are w·f
at every location, without ReLU or normalisation.

Batch norm is in training mode, as in the public code. Differs from the code: the result is the last
network (the P-NOC paper's fair Puzzle); the code keeps the one with the best masks.
"""

import torch
from torch import Tensor

from tags2masks.classifiers import vanilla
from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.classifiers import Puzzle
from tags2masks.errors import UserError
from tags2masks.nets.classifier import Classifier
from tags2masks.training import Moment

build = vanilla.build


def step(
    network: Classifier, batch: list[Tensor], moment: Moment, spec: Puzzle
) -> dict[str, Tensor | float]:
    """The losses on a batch: images [B, 3, S, S] in 0 to 255 and multi-hot tags [B, K]."""
    images, tags = batch
    images = images.float() / 255
    maps, of_tiles = network.score_all(images, tile(images))
    return puzzle_losses(maps, merge(of_tiles), tags, spec, moment)


def tile(images: Tensor) -> Tensor:
    """Cut images [B, 3, S, S] into quarters, [4B, 3, S/2, S/2].

    Order: all upper left quarters, then upper right, lower left and lower right.
    Raises ValueError for an odd S.
    """
    if images.shape[-1] % 2 or images.shape[-2] % 2:
        raise ValueError(f"images of {tuple(images.shape[-2:])} pixels have no four equal quarters")
    halves = images.chunk(2, 2)
    return torch.cat([quarter for half in halves for quarter in half.chunk(2, 3)])


def merge(maps: Tensor) -> Tensor:
    """Put maps of quarters [4B, K, h, w], in the order of `tile`, together: [B, K, 2h, 2w]."""
    upper_left, upper_right, lower_left, lower_right = maps.chunk(4)
    upper = torch.cat([upper_left, upper_right], 3)
    return torch.cat([upper, torch.cat([lower_left, lower_right], 3)], 2)


def puzzle_losses(
    maps: Tensor, merged: Tensor, tags: Tensor, spec: Puzzle, moment: Moment
) -> dict[str, Tensor | float]:
    """The classification losses of both maps, their mean absolute difference, and "loss".

    maps and merged: [B, K, h, w] of the image and of its quarters; the mean of a map is the logit.
    "re" is the difference, "lambda_re" its weight.
    Raises UserError when the maps of the quarters do not have the size of the image's map.
    """
    if maps.shape != merged.shape:
        raise UserError(
            f"augment.crop: the network's map has {tuple(maps.shape[-2:])} cells, but the merged "
            f"maps of the quarters have {tuple(merged.shape[-2:])}; take a multiple of twice its "
            "stride"
        )
    weight = moment.weight(spec.lambda_re, spec)
    cls = tag_loss(maps.mean((2, 3)), tags, spec.label_smoothing)
    re_cls = tag_loss(merged.mean((2, 3)), tags, spec.label_smoothing)
    apart = (maps - merged).abs()
    if spec.re_classes == "tagged":
        apart = apart * tags[:, :, None, None]
    re = apart.mean()
    return {
        "loss": cls + re_cls + weight * re,
        "cls": cls,
        "re_cls": re_cls,
        "re": re,
        "lambda_re": weight,
    }
