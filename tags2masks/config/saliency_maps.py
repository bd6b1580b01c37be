"""Saliency maps: gradients of an image, or of random versions of it, one block per method."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from tags2masks.config.base import free
from tags2masks.config.map_base import PER_PASS, Maps
from tags2masks.config.training import Precision


class Saliency(Maps):
    """The gradient of a class's logit with respect to the image."""

    cites: ClassVar[tuple[str, ...]] = ("simonyan2014saliency", "maruf2023saliency")

    method: Literal["saliency"] = "saliency"
    stride: int = Field(4, ge=1, le=32, description="Image pixels averaged into a map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(8, ge=1, description=PER_PASS)


class Sampled(Maps):
    """Options of saliency methods that average over random versions of an image."""

    samples: int = Field(50, ge=1, description="Random versions of an image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels averaged into a map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(16, ge=1, description="Images of equal size read at a time.")
    samples_per_pass: int = free(
        10, ge=1, description="Versions of an image per forward and backward pass; limits memory."
    )


class SmoothGrad(Sampled):
    """Saliency of images with Gaussian noise, averaged."""

    cites: ClassVar[tuple[str, ...]] = ("smilkov2017smoothgrad", "maruf2023saliency")

    method: Literal["smoothgrad"] = "smoothgrad"
    sigma: float = Field(
        0.5,
        ge=0,
        description="Standard deviation of the noise, for values in 0 to 1. From the paper, whose "
        "results get worse above 0.2.",
    )


class BinaryMask(Sampled):
    """Saliency of images with random pixels set to black, averaged."""

    cites: ClassVar[tuple[str, ...]] = ("maruf2023saliency",)

    method: Literal["binarymask"] = "binarymask"
    keep: float = Field(0.9, gt=0, le=1, description="Probability that a pixel is kept.")


class RandomPatch(Sampled):
    """Saliency of images with random patches set to black, averaged."""

    cites: ClassVar[tuple[str, ...]] = ("maruf2023saliency",)

    method: Literal["randompatch"] = "randompatch"
    grid: int = Field(16, ge=1, description="Patches along each side of the image.")
    off: float = Field(0.1, ge=0, lt=1, description="Probability that a patch is set to black.")


class DiscPatch(Sampled):
    """As `randompatch`, but patches of high CAM are set to black more often."""

    cites: ClassVar[tuple[str, ...]] = ("maruf2023saliency",)

    method: Literal["discpatch"] = "discpatch"
    grid: int = Field(16, ge=1, description="Patches along each side of the image.")
    alpha: float = Field(
        0.4, ge=0, lt=1, description="A patch is set to black with probability alpha · CAM."
    )


class RandomCrop(Sampled):
    """Sum of the saliency maps of random crops, each weighted with the sigmoid of its logit."""

    cites: ClassVar[tuple[str, ...]] = ("maruf2023saliency",)

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
    """As `randomcrop`, but crops of high CAM are left out more often."""

    method: Literal["disccrop"] = "disccrop"
    beta: float = Field(
        0.7, gt=0, description="A crop is kept with probability beta − CAM, at least 0."
    )
