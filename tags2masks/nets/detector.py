"""Two-stage object detectors: a feature pyramid, proposals, and heads on regions of the features.

torchvision's Faster R-CNN in parts, so that the heads can be asked about any boxes.
maskrcnn-benchmark, which public code of papers takes, differs: boxes are a pixel longer there (the
last pixel counts), anchors are rounded otherwise, the heads' box loss is quadratic up to 1 (here
1/9), the 2,000 proposals to learn from are the best of the whole batch (here of each image), and
biases learn at twice the rate without weight decay.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import contextmanager
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

from tags2masks.config.detectors import TwoStage
from tags2masks.config.training import Backbone
from tags2masks.nets.backbones import Normalize
from tags2masks.nets.pyramid import CELL, STRIDES, Pyramid, freeze_stages

Size = tuple[int, int]
Levels = OrderedDict[str, Tensor]

BOX_CELLS = 7
"""Cells of a region's side that the box heads see."""

# torchvision's names of the losses, and those in training.csv.
LOSSES = {
    "loss_objectness": "objectness_loss",
    "loss_rpn_box_reg": "proposal_loss",
    "loss_classifier": "class_loss",
    "loss_box_reg": "box_loss",
}


def build_pyramid(spec: TwoStage) -> Pyramid:
    """The pyramid on the backbone, with random weights, of which some do not learn.

    Raises UserError for a backbone that has no pyramid.
    """
    pyramid = Pyramid(spec.backbone, spec.pyramid_channels)
    freeze_stages(pyramid.backbone, spec.frozen_stages)
    if spec.freeze_bn:
        for module in pyramid.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.requires_grad_(False)
    return pyramid


def parts_of(spec: TwoStage, pyramid: Pyramid, classes: int) -> FasterRCNN:
    """torchvision's network, for its proposal network and heads; its transform is not used."""
    proposals, regions = spec.proposals, spec.regions
    sizes, ratios = spec.anchors.sizes, spec.anchors.ratios
    return FasterRCNN(
        pyramid,
        rpn_anchor_generator=AnchorGenerator(
            tuple((size,) for size in sizes), (ratios,) * len(sizes)
        ),
        rpn_pre_nms_top_n_train=proposals.before_nms[0],
        rpn_pre_nms_top_n_test=proposals.before_nms[1],
        rpn_post_nms_top_n_train=proposals.after_nms[0],
        rpn_post_nms_top_n_test=proposals.after_nms[1],
        rpn_nms_thresh=proposals.nms,
        rpn_fg_iou_thresh=proposals.foreground,
        rpn_bg_iou_thresh=proposals.background,
        rpn_batch_size_per_image=proposals.sampled,
        rpn_positive_fraction=proposals.positive_share,
        box_roi_pool=RegionAlign(BOX_CELLS),
        box_head=TwoMLPHead(spec.pyramid_channels * BOX_CELLS**2, regions.channels),
        box_predictor=FastRCNNPredictor(regions.channels, classes + 1),
        box_fg_iou_thresh=regions.foreground,
        box_bg_iou_thresh=regions.background,
        box_batch_size_per_image=regions.sampled,
        box_positive_fraction=regions.positive_share,
        box_nms_thresh=regions.nms,
        box_score_thresh=regions.score,
        box_detections_per_img=regions.detections,
    )


class Targets:
    """The true boxes of each image, float32 [n, 4], and their classes, int64 [n] from 1.

    Not a tuple: in mixed precision Fabric rounds all numbers in the arguments of a network, and
    bfloat16 has 8 bits.
    """

    def __init__(self, boxes: Sequence[Tensor], classes: Sequence[Tensor]):
        self.boxes, self.classes = boxes, classes

    def by_image(self) -> list[dict[str, Tensor]]:
        """As torchvision has them."""
        pairs = zip(self.boxes, self.classes, strict=True)
        return [{"boxes": boxes, "labels": classes} for boxes, classes in pairs]


class Detector(nn.Module):
    """Boxes, classes and probabilities of the objects in images; in training its losses.

    pyramid: of the images; parts: a FasterRCNN on the same pyramid, of which the proposal network
    and the heads are taken. Class 0 is the background. Images are float [3, H, W] in 0 to 1, of any
    sizes, and are seen at the size that they have. Boxes are x1, y1, x2, y2 in pixels from the
    image's corner, x2 and y2 being behind the last pixel.
    """

    def __init__(self, backbone: Backbone, pyramid: Pyramid, parts: FasterRCNN):
        super().__init__()
        self.normalize = Normalize(backbone)
        self.pyramid, self.rpn, self.roi_heads = pyramid, parts.rpn, parts.roi_heads

    @property
    def backbone(self) -> nn.Module:
        """The network of timm, whose parameters have timm's names."""
        return self.pyramid.backbone

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers."""
        parts = (self.pyramid.layers, self.rpn, self.roi_heads)
        return [parameter for part in parts for parameter in part.parameters()]

    def forward(
        self, images: Sequence[Tensor], targets: Targets | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """In training a dict of losses, else of every image `boxes` [n, 4], `labels` and `scores`.

        An image without a true box is background.
        """
        true = None if targets is None else targets.by_image()
        sizes = [tuple(image.shape[-2:]) for image in images]
        batch = padded([self.normalize(image[None])[0] for image in images])
        levels = self.pyramid(batch)
        # The rest is in float32: coordinates of boxes need its precision.
        with torch.autocast(batch.device.type, enabled=False):
            proposals, losses = self.rpn(ImageList(batch, sizes), levels, true)
            found, of_heads = self.of_regions(levels, proposals, sizes, targets)
        return losses | of_heads if self.training else found

    def of_regions(
        self, levels: Levels, proposals: list[Tensor], sizes: list[Size], targets: Targets | None
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """What is found in the proposals, and in training what the heads learn by."""
        return self.roi_heads(levels, proposals, sizes, targets and targets.by_image())

    def answers(
        self, levels: Levels, boxes: list[Tensor], sizes: list[Size]
    ) -> tuple[Tensor, Tensor]:
        """What the heads say of given boxes, without the proposal network.

        levels: `pyramid` of B images; boxes: of each image float [n, 4]; sizes: (height, width) of
        each image. Returns, for all boxes one after the other, probabilities [N, K + 1] and the
        regression head's values [N, K + 1, 4], as `roi_heads.box_coder` takes them.
        """
        logits, offsets = self.raw_answers(levels, boxes, sizes)
        return logits.softmax(-1), offsets

    def raw_answers(
        self, levels: Levels, boxes: list[Tensor], sizes: list[Size]
    ) -> tuple[Tensor, Tensor]:
        """As `answers`, with the logits of the classes in the place of probabilities."""
        heads = self.roi_heads
        with torch.autocast(boxes[0].device.type, enabled=False):
            regions = heads.box_roi_pool(levels, boxes, sizes)
            logits, offsets = heads.box_predictor(heads.box_head(regions))
        return logits, offsets.unflatten(-1, (-1, 4))


class RegionAlign(MultiScaleRoIAlign):
    """RoIAlign of `cells` × `cells` on the levels of a pyramid, with torchvision's kernel.

    In deterministic mode on a GPU, torchvision compiles an implementation in Python instead, which
    takes a compiler and much memory. Without it a GPU's sums are in another order at every run.
    torchvision would estimate the levels' strides from the first batch, wrongly if its images are
    small and padded.
    """

    def __init__(self, cells: int):
        names = [str(level) for level in range(len(STRIDES))]
        super().__init__(featmap_names=names, output_size=cells, sampling_ratio=2)
        self.scales = [1 / stride for stride in STRIDES]
        first, last = (int(log2(stride)) for stride in (STRIDES[0], STRIDES[-1]))
        self.map_levels = initLevelMapper(first, last)

    def forward(self, levels: Levels, boxes: list[Tensor], sizes: list[Size]) -> Tensor:
        with plain_kernels(boxes[0].device):
            return super().forward(levels, boxes, sizes)


@contextmanager
def plain_kernels(device: torch.device):
    """Torchvision's own kernels, also in deterministic mode on a GPU."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    if device.type != "cpu":
        torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def padded(images: Sequence[Tensor]) -> Tensor:
    """Normalised images [3, h, w] as a batch: padded with the mean colour to whole cells."""
    sides = zip(*(image.shape[-2:] for image in images), strict=True)
    height, width = (-(-max(side) // CELL) * CELL for side in sides)
    padding = [(0, width - image.shape[-1], 0, height - image.shape[-2]) for image in images]
    batch = torch.stack([F.pad(*pair) for pair in zip(images, padding, strict=True)])
    return batch.contiguous(memory_format=torch.channels_last)
