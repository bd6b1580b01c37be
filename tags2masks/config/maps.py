"""Localization: per-class score maps from a classifier, one block per method."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tags2masks.config.base import Block, free
from tags2masks.config.training import Precision

Scales = Annotated[tuple[Annotated[float, Field(gt=0, le=4)], ...], Field(min_length=1)]


class Cam(Block):
    """Class activation maps over scales and flips."""

    method: Literal["cam"] = "cam"
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also look at the mirrored image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(16, ge=1, description="Images of like size per forward pass.")


class GradCam(Block):
    """Feature maps weighted by the gradient of a class's logit, over scales and flips."""

    method: Literal["gradcam"] = "gradcam"
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also look at the mirrored image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(16, ge=1, description="Images of like size per forward pass.")


class Saliency(Block):
    """The gradient of a class's logit with respect to the image."""

    method: Literal["saliency"] = "saliency"
    stride: int = Field(4, ge=1, le=32, description="Image pixels averaged into a map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(8, ge=1, description="Images of like size per forward pass.")


class Sampled(Block):
    """What saliency maps over several random versions of an image share."""

    samples: int = Field(50, ge=1, description="Random versions of an image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels averaged into a map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(16, ge=1, description="Images of like size read at a time.")
    samples_per_pass: int = free(
        10, ge=1, description="Versions of an image per forward and backward pass; bounds memory."
    )


class SmoothGrad(Sampled):
    """Saliency of images with Gaussian noise, averaged."""

    method: Literal["smoothgrad"] = "smoothgrad"
    sigma: float = Field(
        0.5,
        ge=0,
        description="Deviation of the noise, of values in 0 to 1. The paper's; its own "
        "figures fall above 0.2.",
    )


class BinaryMask(Sampled):
    """Saliency of images with pixels switched off, averaged."""

    method: Literal["binarymask"] = "binarymask"
    keep: float = Field(0.9, gt=0, le=1, description="Chance that a pixel stays on.")


class RandomPatch(Sampled):
    """Saliency of images with patches switched off, averaged."""

    method: Literal["randompatch"] = "randompatch"
    grid: int = Field(16, ge=1, description="Patches along each side of the image.")
    off: float = Field(0.1, ge=0, lt=1, description="Chance that a patch is switched off.")


class DiscPatch(Sampled):
    """The same, patches of high CAM being switched off more often."""

    method: Literal["discpatch"] = "discpatch"
    grid: int = Field(16, ge=1, description="Patches along each side of the image.")
    alpha: float = Field(
        0.4, ge=0, lt=1, description="A patch is switched off with this times its CAM."
    )


class RandomCrop(Sampled):
    """Saliency of random crops in their places, each weighted with the sigmoid of its logit."""

    method: Literal["randomcrop"] = "randomcrop"
    samples: int = Field(140, ge=1, description="Random crops of an image.")
    scale: tuple[float, float] = Field(
        (0.1, 1.0), description="Range of a crop's share of the image's area."
    )

    @field_validator("scale")
    @classmethod
    def _ordered(cls, value):
        if not 0 < value[0] <= value[1] <= 1:
            raise ValueError("scale is a range within 0 to 1: the smallest share first, above 0")
        return value


class DiscCrop(RandomCrop):
    """The same, crops of high CAM being left out more often."""

    method: Literal["disccrop"] = "disccrop"
    beta: float = Field(0.7, gt=0, description="A crop is kept with this less its CAM, if above 0.")


METHODS = {
    "cam": Cam,
    "gradcam": GradCam,
    "saliency": Saliency,
    "smoothgrad": SmoothGrad,
    "binarymask": BinaryMask,
    "randompatch": RandomPatch,
    "discpatch": DiscPatch,
    "randomcrop": RandomCrop,
    "disccrop": DiscCrop,
}
