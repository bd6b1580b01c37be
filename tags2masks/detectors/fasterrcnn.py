"""Faster R-CNN (Ren et al., NIPS 2015) on a feature pyramid (Lin et al., CVPR 2017).

The detector of BBAM (Lee et al., CVPR 2021), with torchvision's layers. Its public code takes those
of maskrcnn-benchmark; `nets/detector.py` says how these differ. torchvision's own recipe on COCO
warms up over 1,000 steps, has rate 0.02 for 16 images and drops it after 16 and 22 of 26 epochs.
"""

from torch import Tensor

from tags2masks.config.detectors import FasterRcnn
from tags2masks.nets.detector import LOSSES, Detector, Targets, build_pyramid, parts_of
from tags2masks.training import Moment


def build(spec: FasterRcnn, classes: int) -> Detector:
    """The network, with random weights. Raises UserError for a backbone that has no pyramid."""
    pyramid = build_pyramid(spec)
    return Detector(spec.backbone, pyramid, parts_of(spec, pyramid, classes))


def step(
    network: Detector, batch: list[list[Tensor]], moment: Moment, spec: FasterRcnn
) -> dict[str, Tensor]:
    """The losses on a batch: uint8 images [3, h, w], and of each its boxes [n, 4] and classes [n].

    Classes count from 1. Their sum is the loss.
    """
    images, boxes, classes = batch
    losses = network([image.float() / 255 for image in images], Targets(boxes, classes))
    return {"loss": sum(losses.values())} | {LOSSES[name]: loss for name, loss in losses.items()}
