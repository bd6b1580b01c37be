"""Two-stage networks that also give a mask for each object: torchvision's Mask R-CNN in parts."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.ops import roi_align

from tags2masks.config.maskrcnn import MaskRcnn
from tags2masks.mask_ids import IGNORED
from tags2masks.nets.detector import (
    Detector,
    Levels,
    RegionAlign,
    Size,
    Targets,
    build_pyramid,
    parts_of,
    plain_kernels,
)

SEEN_CELLS = 14
"""Cells of a region's side that the mask head sees; its masks have twice as many."""


class MaskTargets(Targets):
    """Targets with masks: of each image uint8 [n, h, w], 1 the object, 0 not, 255 maybe."""

    def __init__(self, boxes: Sequence[Tensor], classes: Sequence[Tensor], masks: Sequence[Tensor]):
        super().__init__(boxes, classes)
        self.masks = masks


class RegionMasks(NamedTuple):
    """What the mask head says of the regions of objects in a batch, and what is known of them.

    logits: float [N, 28, 28], of the region's class; foreground, background: bool [N, 28, 28], the
    cells that are the object's for certain, and those that are not; both are False where nothing is
    known.
    """

    logits: Tensor
    foreground: Tensor
    background: Tensor


class MaskDetector(Detector):
    """A detector whose objects have masks.

    In evaluation mode of every image also `masks`, [n, 1, 28, 28], probabilities on the cells of
    each box. In training the losses of `Detector`, and `masks`, the batch's `RegionMasks`.
    """

    def __init__(self, spec: MaskRcnn, classes: int):
        pyramid = build_pyramid(spec)
        super().__init__(spec.backbone, pyramid, parts_of(spec, pyramid, classes))
        width = spec.mask_channels
        self.mask_align = RegionAlign(SEEN_CELLS)
        self.mask_head = nn.Sequential(
            MaskRCNNHeads(spec.pyramid_channels, [width] * spec.mask_layers, dilation=1),
            MaskRCNNPredictor(width, width, classes + 1),
        )

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers."""
        return [*super().head_parameters(), *self.mask_head.parameters()]

    def of_regions(
        self,
        levels: Levels,
        proposals: list[Tensor],
        sizes: list[Size],
        targets: MaskTargets | None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor | RegionMasks]]:
        """As of `Detector`, with masks."""
        heads = self.roi_heads
        if targets is None:
            found, _ = heads(levels, proposals, sizes)
            boxes, classes = ([each[name] for each in found] for name in ("boxes", "labels"))
            masks = self.mask_logits(levels, boxes, classes, sizes).sigmoid()[:, None]
            parts = masks.split([len(some) for some in boxes])
            return [each | {"masks": own} for each, own in zip(found, parts, strict=True)], {}
        regions, matched, classes, offsets = heads.select_training_samples(
            proposals, targets.by_image()
        )
        features = heads.box_head(heads.box_roi_pool(levels, regions, sizes))
        class_loss, box_loss = fastrcnn_loss(*heads.box_predictor(features), classes, offsets)
        objects = [some > 0 for some in classes]
        boxes, of_object, kinds = (
            [all_[kept] for all_, kept in zip(part, objects, strict=True)]
            for part in (regions, matched, classes)
        )
        known = [
            known_cells(*image, 2 * SEEN_CELLS)
            for image in zip(targets.masks, boxes, of_object, strict=True)
        ]
        foreground, background = (torch.cat(part) for part in zip(*known, strict=True))
        logits = self.mask_logits(levels, boxes, kinds, sizes)
        masks = RegionMasks(logits, foreground, background)
        return [], {"loss_classifier": class_loss, "loss_box_reg": box_loss, "masks": masks}

    def mask_logits(
        self, levels: Levels, boxes: list[Tensor], classes: list[Tensor], sizes: list[Size]
    ) -> Tensor:
        """Of all boxes one after the other the logits of its class's mask: float [N, 28, 28]."""
        kinds = torch.cat(classes)
        if not len(kinds):  # all weights have a gradient, for the other processes of a training
            nothing = sum(parameter.sum() for parameter in self.mask_head.parameters()) * 0
            return nothing + nothing.new_zeros(0, 2 * SEEN_CELLS, 2 * SEEN_CELLS)
        logits = self.mask_head(self.mask_align(levels, boxes, sizes))
        return logits[torch.arange(len(kinds), device=kinds.device), kinds]


def known_cells(
    masks: Tensor, boxes: Tensor, of_object: Tensor, cells: int
) -> tuple[Tensor, Tensor]:
    """The cells of boxes that are their object's for certain, and those that are not.

    masks: uint8 [n, h, w], 1 the object, 0 not, 255 maybe; boxes: float [N, 4], x1, y1, x2, y2;
    of_object: int64 [N], the mask of each box. Both bool [N, cells, cells]: half of a cell or more
    is the object, and more than half of it is not, even possibly.
    """
    if not len(boxes):
        nothing = torch.zeros(0, cells, cells, dtype=torch.bool, device=boxes.device)
        return nothing, nothing
    rois = torch.cat([of_object[:, None].to(boxes), boxes], dim=1)
    with plain_kernels(boxes.device):
        sure, possible = (
            roi_align(pixels[:, None].to(boxes), rois, (cells, cells), aligned=True)[:, 0]
            for pixels in (masks == 1, (masks == 1) | (masks == IGNORED))
        )
    return sure >= 0.5, possible < 0.5
