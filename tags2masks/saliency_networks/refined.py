"""A saliency network that learns from the masks of another one (P-NOC; David et al., 2023, 3.3).

It sees errors of single masks as noise. The public code's network is PoolNet (Liu et al., CVPR
2019); here it is any encoder of timm with a decoder of segmentation-models-pytorch. As there, whole
images are seen, and mirrored. The loss is a mean over pixels, there a sum over each image's.
"""

import segmentation_models_pytorch as smp
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.saliency_networks import Refined
from tags2masks.data.masked import MaskedViews
from tags2masks.labels import labelled_views
from tags2masks.mask_ids import IGNORED
from tags2masks.segmenters.networks import OnEncoder
from tags2masks.task import Task
from tags2masks.training import Moment

DECODERS = {"unet": smp.Unet, "fpn": smp.FPN}


def views(task: Task) -> MaskedViews:
    """Random views: batches are (images, masks of objects). Raises UserError as `MaskedViews`."""
    return labelled_views(task, "object_masks")


def build(spec: Refined, classes: int) -> nn.Module:
    """The network, one logit per pixel, with random weights; classes are not used.

    Raises UserError for an encoder that the decoder does not support.
    """
    return OnEncoder(DECODERS[spec.decoder], spec.decoder, spec.backbone, 0, **spec.backbone.args)


def step(
    network: nn.Module, batch: list[Tensor], moment: Moment, spec: Refined
) -> dict[str, Tensor]:
    """The loss of images, uint8 [B, 3, S, S], and masks, uint8 [B, S, S], 255 ignored."""
    images, masks = batch
    logits = network(images.float() / 255)[:, 0].float()
    known = masks != IGNORED
    objects = (masks == 1).float()
    losses = F.binary_cross_entropy_with_logits(logits, objects, reduction="none")
    count = known.sum().clamp(min=1)
    salient = (logits.detach().sigmoid() * known).sum() / count
    return {"loss": (losses * known).sum() / count, "salient": salient}
