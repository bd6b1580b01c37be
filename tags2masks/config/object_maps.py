"""Localization of the objects in boxes by a detector's answers: one block per method."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import free
from tags2masks.config.map_base import GradientPrecision, Maps


class ObjectMaps(Maps):
    """Options of methods that make a map for each box, of which those of classes are the maximum.

    Each asks the detector about its positive proposals: jittered boxes of which it makes the right
    class and nearly the true box.
    """

    takes: ClassVar[tuple[str, ...]] = ("detector",)
    learns_from: ClassVar[tuple[str, ...]] = ("boxes",)
    program: ClassVar[str] = "localize_objects"
    resumes: ClassVar[bool] = True
    memory_mb: ClassVar[int] = 24000

    proposals: int = Field(1000, ge=1, description="Boxes that are drawn around each true box.")
    jitter: float = Field(
        0.3,
        ge=0,
        lt=0.5,
        description="Each of their coordinates is moved by up to this share of the box's side.",
    )
    overlaps: Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(min_length=1)] = (
        Field(
            (0.9, 0.85, 0.8),
            description="A proposal counts if the detector makes of it the right class and a box "
            "of more than this IoU with the true one: the first of these by which more than "
            "`positives` count, else the last. The paper has 0.8 alone.",
        )
    )
    positives: int = Field(
        100, ge=1, description="Proposals of an object at most, where more than these count."
    )
    short_side: int | None = Field(
        None,
        ge=16,
        description="Short side of the images in pixels; null: the detector's `test_short_side`. "
        "It changes what a cell is, and so what `sparsity` of `bbam` means.",
    )
    difficult: Literal["keep", "leave_out"] = Field(
        "keep", description="Boxes that the data set calls difficult, and crowds."
    )
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: GradientPrecision = Field(
        "32-true", description="Autocast of the feature pyramid; the heads are in float32."
    )
    objects_per_pass: int = free(
        8,
        ge=1,
        description="Objects, of images of like size, in a pass; limits memory.",
    )

    @property
    def offers(self) -> frozenset[str]:
        """A map of each object beside those of the classes."""
        return frozenset({"a_map_of_each_object"})


class Bbam(ObjectMaps):
    """The smallest part of an image by which a detector finds an object (BBAM; CVPR 2021).

    The defaults are the paper's, and its public code's where the paper is silent. To explain
    detections instead, it has `sparsity: 0.07` and `smoothness: 0.001`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021bbam",)

    analyses: ClassVar[tuple[str, ...]] = ("heads",)
    minutes: ClassVar[int] = 1440

    method: Literal["bbam"] = "bbam"
    heads: Literal["both", "box", "class"] = Field(
        "both", description="The heads whose answers the mask must preserve."
    )
    steps: int = Field(300, ge=0, description="Steps of Adam for each object.")
    lr: float = Field(0.02, gt=0, description="Learning rate of Adam.")
    sparsity: float = Field(0.007, ge=0, description="λ: weight of the sum over the mask's cells.")
    smoothness: float = Field(
        1e-4, ge=0, description="Weight of the mask's total variation, which the paper leaves out."
    )
    smoothness_power: float = Field(
        3, ge=1, description="Exponent of the differences in the total variation."
    )
    cell: float | None = Field(
        None,
        ge=1,
        description="Pixels per cell of a mask, of the image as the detector sees it; null: the "
        "paper's adaptive stride, 16 + 48 · √(the box's share of the image), which is for images "
        "of 800 pixels: for small ones set this, or a larger short_side.",
    )


class BoxGrad(ObjectMaps):
    """The gradient of the detector's logit of a box's class with respect to the image.

    BBAM's paper compares itself with it, with `boxsmoothgrad` and with `boxgradcam`, and gives no
    settings of them.
    """

    cites: ClassVar[tuple[str, ...]] = ("simonyan2014saliency", "lee2021bbam")

    analyses: ClassVar[tuple[str, ...]] = ("proposals",)

    method: Literal["boxgrad"] = "boxgrad"


class BoxSmoothGrad(ObjectMaps):
    """As `boxgrad`, the mean over images with Gaussian noise."""

    cites: ClassVar[tuple[str, ...]] = ("smilkov2017smoothgrad", "lee2021bbam")

    method: Literal["boxsmoothgrad"] = "boxsmoothgrad"
    samples: int = Field(25, ge=1, description="Images with noise.")
    sigma: float = Field(
        0.15, ge=0, description="Standard deviation of the noise, for values in 0 to 1."
    )


class BoxGradCam(ObjectMaps):
    """Grad-CAM of the detector's logit of a box's class, on the levels of its feature pyramid."""

    cites: ClassVar[tuple[str, ...]] = ("selvaraju2017gradcam", "lee2021bbam")

    method: Literal["boxgradcam"] = "boxgradcam"
