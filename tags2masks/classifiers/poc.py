"""P-OC: Puzzle-CAM and OC-CSE in one training (P-NOC paper, section 3.1, eq. 1)."""

from torch import Tensor

from tags2masks.classifiers import vanilla
from tags2masks.classifiers.occse import draw_class, erasing_loss
from tags2masks.classifiers.puzzle import merge, puzzle_losses, tile
from tags2masks.config.classifiers import Poc
from tags2masks.nets.classifier import Classifier
from tags2masks.training import Moment

build = vanilla.build


def step(
    network: Classifier, batch: list[Tensor], moment: Moment, spec: Poc
) -> dict[str, Tensor | float]:
    """The losses on a batch: images [B, 3, S, S] in 0 to 255 and multi-hot tags [B, K]."""
    images, tags = batch
    images = images.float() / 255
    maps, of_tiles = network.score_all(images, tile(images))
    drawn = draw_class(tags, moment.uniform(len(tags)))
    return poc_losses(images, maps, merge(of_tiles), tags, drawn, moment, spec)


def poc_losses(
    images: Tensor,
    maps: Tensor,
    merged: Tensor,
    tags: Tensor,
    drawn: Tensor,
    moment: Moment,
    spec: Poc,
) -> dict[str, Tensor | float]:
    """The losses of Puzzle-CAM, "cse" with its weight "lambda_cse", and the sum "loss".

    images: [B, 3, S, S] in 0 to 1; maps and merged: [B, K, h, w]; tags and drawn: [B, K].
    """
    losses = puzzle_losses(maps, merged, tags, spec, moment)
    cse, weight = erasing_loss(images, maps, tags, drawn, moment, spec)
    return losses | {"loss": losses["loss"] + weight * cse, "cse": cse, "lambda_cse": weight}
