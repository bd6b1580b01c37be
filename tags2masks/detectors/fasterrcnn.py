"""Faster R-CNN (Ren et al., NIPS 2015) on a feature pyramid (Lin et al., CVPR 2017).

The detector of BBAM (Lee et al., CVPR 2021), with torchvision's layers. Its public code takes those
of maskrcnn-benchmark, which differ: boxes are a pixel longer there (the last pixel counts), anchors
are rounded otherwise, the heads' box loss is quadratic up to 1 (here 1/9), the 2,000 proposals to
learn from are the best of the whole batch (here of each image), and biases learn at twice the rate
without weight decay. torchvision's own recipe on COCO warms up over 1,000 steps, has rate 0.02 for
16 images and drops it after 16 and 22 of 26 epochs.
"""

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import AnchorGenerator

from tags2masks.config.detectors import FasterRcnn
from tags2masks.nets.detector import Detector, RegionAlign, Targets
from tags2masks.nets.pyramid import Pyramid, freeze_stages
from tags2masks.training import Moment

# torchvision's names of the losses, and those in training.csv.
LOSSES = {
    "loss_objectness": "objectness_loss",
    "loss_rpn_box_reg": "proposal_loss",
    "loss_classifier": "class_loss",
    "loss_box_reg": "box_loss",
}


def build(spec: FasterRcnn, classes: int) -> Detector:
    """The network, with random weights. Raises UserError for a backbone that has no pyramid."""
    pyramid = Pyramid(spec.backbone, spec.pyramid_channels)
    freeze_stages(pyramid.backbone, spec.frozen_stages)
    if spec.freeze_bn:
        for module in pyramid.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.requires_grad_(False)
    return Detector(spec.backbone, pyramid, _parts(spec, pyramid, classes))


def _parts(spec: FasterRcnn, pyramid: Pyramid, classes: int) -> FasterRCNN:
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
        box_roi_pool=RegionAlign(),
        box_head=TwoMLPHead(spec.pyramid_channels * 7 * 7, regions.channels),
        box_predictor=FastRCNNPredictor(regions.channels, classes + 1),
        box_fg_iou_thresh=regions.foreground,
        box_bg_iou_thresh=regions.background,
        box_batch_size_per_image=regions.sampled,
        box_positive_fraction=regions.positive_share,
        box_nms_thresh=regions.nms,
        box_score_thresh=regions.score,
        box_detections_per_img=regions.detections,
    )


def step(
    network: Detector, batch: list[list[Tensor]], moment: Moment, spec: FasterRcnn
) -> dict[str, Tensor]:
    """The losses on a batch: uint8 images [3, h, w], and of each its boxes [n, 4] and classes [n].

    Classes count from 1. Their sum is the loss.
    """
    images, boxes, classes = batch
    losses = network([image.float() / 255 for image in images], Targets(boxes, classes))
    return {"loss": sum(losses.values())} | {LOSSES[name]: loss for name, loss in losses.items()}
