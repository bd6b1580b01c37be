"""DeepLabV3+ (Chen et al., ECCV 2018) of segmentation-models-pytorch on a timm encoder.

Trained with cross entropy on pseudo-masks; pixels marked 255 teach nothing. P-NOC's group norm and
label smoothing are not part of this method yet.
"""

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.segmenters import DeepLabV3Plus
from tags2masks.errors import UserError
from tags2masks.nets.backbones import Normalize, check_name

IGNORED = 255


class Segmenter(nn.Module):
    """Logits [B, K+1, H, W] of background and classes for images [B, 3, H, W] in 0 to 1, any size.

    Raises UserError for an encoder without the stages that the decoder needs.
    """

    def __init__(self, spec: DeepLabV3Plus, classes: int):
        super().__init__()
        backbone = spec.backbone
        check_name(backbone.name)
        if backbone.output_stride == 32:
            raise UserError("segmenters: DeepLabV3+ takes backbone.output_stride 8 or 16")
        self.stride = backbone.output_stride
        self.normalize = Normalize(backbone)
        try:
            self.network = smp.DeepLabV3Plus(
                f"tu-{backbone.name}",
                encoder_weights=None,
                encoder_output_stride=backbone.output_stride,
                decoder_channels=spec.decoder_channels,
                classes=classes + 1,
                **backbone.args,
            )
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise UserError(
                f"backbone.name: {backbone.name} does not work as a DeepLabV3+ encoder ({error})"
            ) from None

    @property
    def backbone(self) -> nn.Module:
        """The timm network, whose parameters have timm's names."""
        return self.network.encoder.model

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        padding = (0, -width % self.stride, 0, -height % self.stride)
        logits = self.network(F.pad(self.normalize(images), padding))
        return logits[..., :height, :width]

    def head_parameters(self) -> list[nn.Parameter]:
        """What is learned anew, with the higher rate."""
        return [*self.network.decoder.parameters(), *self.network.segmentation_head.parameters()]


def build(spec: DeepLabV3Plus, classes: int) -> Segmenter:
    """The network, with random weights."""
    return Segmenter(spec, classes)


def step(network: nn.Module, batch: list[Tensor]) -> dict[str, Tensor]:
    """The loss on a batch: uint8 images [B, 3, S, S] and labels [B, S, S], 255 ignored.

    A batch whose pixels are all ignored has loss 0.
    """
    images, labels = batch
    logits, labels = network(images.float() / 255).float(), labels.long()
    known = labels != IGNORED
    count = known.sum().clamp(min=1)
    loss = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / count
    with torch.no_grad():
        agreement = ((logits.argmax(1) == labels) & known).sum() / count
    return {"loss": loss, "pixel_agreement": agreement}
