"""Training of segmenters: from the training images and their pseudo-masks.

Pixels of 255 are ignored.
"""

from importlib import import_module

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.segmenters import CrossEntropySegmenter
from tags2masks.data.masked import MaskedViews
from tags2masks.labels import labelled_views
from tags2masks.mask_ids import IGNORED
from tags2masks.task import Task
from tags2masks.training import Measure, Moment


def views(task: Task) -> MaskedViews:
    """Random views: batches are (images, labels). Raises UserError as `labelled_views` does.

    The module of a method that learns from something else, too, has its own `views`.
    """
    own = getattr(task.method, "views", None)
    return own(task) if own else labelled_views(task, "masks")


def measure(task: Task) -> Measure:
    """What the module of the method measures after epochs; most measure nothing."""
    own = getattr(task.method, "measure", None)
    return own(task) if own else lambda network, epoch: {}


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0) -> Tensor:
    """The mean over the pixels that are not ignored; 0 where all are.

    logits: [B, K+1, H, W]; labels: integers [B, H, W]; smoothing: share of a pixel's target that is
    spread over all K + 1.
    """
    count = (labels != IGNORED).sum().clamp(min=1)
    total = F.cross_entropy(
        logits, labels, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
    )
    return total / count


def step(
    network: nn.Module, batch: list[Tensor], moment: Moment, spec: CrossEntropySegmenter
) -> dict[str, Tensor]:
    """The loss on a batch: uint8 images [B, 3, S, S] and labels [B, S, S], 255 ignored.

    Cross entropy, or where the spec says `growing` that of `dsrg.step`.
    """
    if spec.growing:
        # Imported by name, so that an edit of dsrg.py reruns only segmenters with growing.
        return import_module("tags2masks.segmenters.dsrg").step(network, batch, moment, spec)
    images, labels = batch
    logits, labels = network(images.float() / 255).float(), labels.long()
    known = labels != IGNORED
    with torch.no_grad():
        agreement = ((logits.argmax(1) == labels) & known).sum() / known.sum().clamp(min=1)
    loss = cross_entropy(logits, labels, spec.label_smoothing)
    return {"loss": loss, "pixel_agreement": agreement}
