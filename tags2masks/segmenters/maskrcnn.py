"""Mask R-CNN (He et al., ICCV 2017) on instances of which some pixels are not known.

As BBAM (Lee et al., CVPR 2021) trains it on pseudo-masks, with torchvision's layers. The loss on
masks, and how labels grow (after Huang et al., CVPR 2018, DSRG), are those of BBAM's public code:
the paper gives no numbers. Differs from that code: what `nets/detector.py` lists; masks are resized
to the view before their cells are taken, where a cell is of the object if half of it is.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tags2masks.config.maskrcnn import MaskRcnn
from tags2masks.data.instance_views import InstanceViews
from tags2masks.detectors.detecting import measure_boxes
from tags2masks.errors import UserError
from tags2masks.labels import unchecked_views
from tags2masks.nets.detector import LOSSES
from tags2masks.nets.mask_detector import MaskDetector, MaskTargets, RegionMasks
from tags2masks.segmenters.instance_applying import segmented
from tags2masks.task import Task
from tags2masks.training import Measure, Moment

__all__ = ["build", "measure", "segmented", "step", "views"]


def build(spec: MaskRcnn, classes: int) -> MaskDetector:
    """The network, with random weights. Raises UserError for a backbone that has no pyramid."""
    return MaskDetector(spec, classes)


def views(task: Task) -> InstanceViews:
    """Random views: batches are (images, boxes, classes, masks).

    Images without an instance are background. Raises UserError if no image has one.
    """
    stage = next(name for name in ("instances", "masks") if name in task.recipe["upstream"])
    views = unchecked_views(task, stage, InstanceViews)
    if not any(views.instances(row) for row in views.masked):
        raise UserError(
            f"{views.files[0].parent}: no training image has an instance to learn from; make the "
            "instances less strict, or add boxes"
        )
    return views


def measure(task: Task) -> Measure:
    """COCO's AP of the boxes of val, as `measure_boxes` has it; masks of val are not read.

    Images have the largest size that training sees: a training knows nothing of `test`, which is
    the predictions'.
    """
    augment = task.spec.augment
    return measure_boxes(task, (max(augment.short_sides), augment.longest))


def step(
    network: MaskDetector, batch: list[list[Tensor]], moment: Moment, spec: MaskRcnn
) -> dict[str, Tensor]:
    """The losses on a batch: uint8 images [3, h, w], boxes [n, 4], classes [n], masks [n, h, w].

    Classes count from 1. The sum of the losses is the loss. `pixel_agreement`: share of the known
    cells on which the masks' logits are right, the mean of foreground and background;
    `grown`: cells that learn beyond the known ones, relative to these.
    """
    images, boxes, classes, masks = batch
    answers = network([image.float() / 255 for image in images], MaskTargets(boxes, classes, masks))
    regions = RegionMasks(*answers.pop("masks"))
    losses = {LOSSES[name]: loss for name, loss in answers.items()}
    learned = grown(regions, spec.grow_above) if spec.grow else regions
    losses["mask_loss"] = (by_halves if spec.mask_loss == "halves" else by_cells)(learned)
    known, more = (
        sum(part.sum() for part in (which.foreground, which.background))
        for which in (regions, learned)
    )
    return {
        "loss": sum(losses.values()),
        **losses,
        "pixel_agreement": _agreement(regions),
        "grown": (more - known) / known.clamp(min=1),
    }


def grown(regions: RegionMasks, above: float = 0.9) -> RegionMasks:
    """The regions with further cells of which the network is sure, beside others of their set.

    Foreground is joined by cells with a probability above `above`, background by those below
    1 − above, if one of the 8 neighbours is known to be of the set, or is as sure. Cells that are
    known to be of the other set never join. So two sure cells side by side join, one alone does
    not.
    """
    shares = regions.logits.detach().sigmoid()
    pairs = (
        (regions.foreground, regions.background, shares > above),
        (regions.background, regions.foreground, shares < 1 - above),
    )
    return RegionMasks(regions.logits, *(_joined(*pair) for pair in pairs))


def _joined(known: Tensor, other: Tensor, sure: Tensor) -> Tensor:
    wanted = known | (sure & ~other)
    around = torch.ones(1, 1, 3, 3, device=known.device)
    around[..., 1, 1] = 0
    neighbours = F.conv2d(wanted[:, None].float(), around, padding=1)[:, 0] > 0
    return known | (wanted & neighbours)


def by_halves(regions: RegionMasks) -> Tensor:
    """½ (mean cross entropy over foreground + mean over background), of all regions together.

    0 where either has no cell.
    """
    if not (regions.foreground.any() and regions.background.any()):
        return regions.logits.sum() * 0
    foreground = F.softplus(-regions.logits[regions.foreground]).mean()
    background = F.softplus(regions.logits[regions.background]).mean()
    return (foreground + background) / 2


def by_cells(regions: RegionMasks) -> Tensor:
    """The mean cross entropy over foreground and background; 0 without a cell."""
    terms = [
        F.softplus(-regions.logits[regions.foreground]),
        F.softplus(regions.logits[regions.background]),
    ]
    return torch.cat(terms).sum() / max(1, sum(map(len, terms)))


def _agreement(regions: RegionMasks) -> Tensor:
    object_ = regions.logits.detach() > 0
    right = [
        (side & known).sum() / known.sum().clamp(min=1)
        for side, known in ((object_, regions.foreground), (~object_, regions.background))
    ]
    return sum(right) / 2
