"""Common parts of segmentation networks: images of any size, and the head's parameters."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.backbones import Normalize, check_name, create_backbone, feature_shape
from tags2masks.nets.resize import resized


def on_whole_cells(network: Callable[[Tensor], Tensor], images: Tensor, stride: int) -> Tensor:
    """The network's logits [B, K+1, H, W] for images [B, 3, H, W] of any size.

    images: normalised. They are padded with the mean colour to a multiple of the stride, so that
    every feature covers a whole cell of pixels. Coarse logits are upsampled bilinearly with
    `align_corners=False` (the public code aligns the corners).
    """
    height, width = images.shape[-2:]
    padded = pad_to_cells(images, stride)
    return top_left(resized(network(padded), padded.shape[-2:]), height, width)


def pad_to_cells(images: Tensor, stride: int) -> Tensor:
    """Normalised images [B, 3, H, W] with sides rounded up to multiples of the stride."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % stride, 0, -height % stride))


def top_left(logits: Tensor, height: int, width: int) -> Tensor:
    """The part [..., height, width] of logits that is the image, without the padding."""
    if torch.compiler.is_exporting():
        # torch.export ties the strides of a view to the traced image's size; a copy has its own.
        rows, columns = (torch.arange(n, device=logits.device) for n in (height, width))
        return logits.index_select(-2, rows).index_select(-1, columns)
    return logits[..., :height, :width]


class OnFeatures(nn.Module):
    """A head on the last feature map of a backbone for classifiers.

    Logits [B, K+1, H, W] of background and classes for images [B, 3, H, W] in 0 to 1, any size.
    make_head: the head for so many channels. Raises UserError as `feature_shape` does.
    """

    def __init__(self, backbone: Backbone, make_head: Callable[[int], nn.Module]):
        super().__init__()
        self.normalize = Normalize(backbone)
        self.backbone = create_backbone(backbone)
        channels, self.stride = feature_shape(self.backbone, backbone.name)
        self.head = make_head(channels)

    def _coarse_logits(self, images: Tensor) -> Tensor:
        return self.head(self.backbone.forward_features(images))

    def forward(self, images: Tensor) -> Tensor:
        return on_whole_cells(self._coarse_logits, self.normalize(images), self.stride)

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers, which learn with the higher rate."""
        return list(self.head.parameters())


class OnEncoder(nn.Module):
    """A network of segmentation-models-pytorch on a timm encoder.

    Logits [B, K+1, H, W] of background and classes for images [B, 3, H, W] in 0 to 1, any size.
    kind: the library's class, title: its name in messages; stride: images are padded to multiples
    of it, by default of the backbone's; options: further arguments of the class.
    Raises UserError for an encoder without the stages that the decoder needs, or one that takes
    images of one size alone.
    """

    def __init__(
        self,
        kind: type,
        title: str,
        backbone: Backbone,
        classes: int,
        stride: int | None = None,
        **options,
    ):
        super().__init__()
        check_name(backbone.name)
        self.normalize = Normalize(backbone)
        self.stride = stride or backbone.output_stride
        try:
            self.network = kind(
                f"tu-{backbone.name}", encoder_weights=None, classes=classes + 1, **options
            )
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise UserError(
                f"backbone.name: {backbone.name} does not work as a {title} encoder ({error})"
            ) from None
        try:
            with torch.no_grad():
                self.eval()(torch.zeros(1, 3, 64, 96))
        except (AssertionError, RuntimeError) as error:
            raise UserError(
                f"backbone.name: {backbone.name} does not take images of any size as a {title} "
                f"encoder ({error}); choose another, such as resnet50"
            ) from None
        self.train()

    @property
    def backbone(self) -> nn.Module:
        """The timm network, whose parameters have timm's names."""
        return self.network.encoder.model

    def forward(self, images: Tensor) -> Tensor:
        return on_whole_cells(self.network, self.normalize(images), self.stride)

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers, which learn with the higher rate."""
        return [*self.network.decoder.parameters(), *self.network.segmentation_head.parameters()]
