"""Object detectors, which learn from boxes: one block per method.

Papers give the length of a training in steps, the config in epochs: VOC's 10,582 training images
are 662 steps of 16 images.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tags2masks.config.base import Block, free
from tags2masks.config.training import Backbone, Optimizer, Share, Training

Side = Annotated[int, Field(ge=16)]
Count = Annotated[int, Field(ge=1)]
Length = Annotated[float, Field(gt=0)]


class ShortSides(Block):
    """Random views of whole images: resized by their short side, and mirrored."""

    short_sides: Annotated[tuple[Side, ...], Field(min_length=1)] = Field(
        (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800),
        description="Lengths of the short side in pixels, one of which is drawn for each view.",
    )
    longest: int = Field(
        1333, ge=16, description="Longer images are resized to this long side instead, in pixels."
    )
    flip: Share = Field(0.5, description="Probability of a horizontal flip.")


class Anchors(Block):
    """The boxes that proposals start from, at every cell of the five levels of the pyramid."""

    sizes: tuple[Length, Length, Length, Length, Length] = Field(
        (32, 64, 128, 256, 512),
        description="Square root of the area in pixels, for strides 4, 8, 16, 32 and 64.",
    )
    ratios: Annotated[tuple[Length, ...], Field(min_length=1)] = Field(
        (0.5, 1, 2), description="Height by width."
    )


class Matching(Block):
    """Which boxes are examples of objects and of background."""

    foreground: Share
    background: Share

    @model_validator(mode="after")
    def _ordered(self):
        if self.background > self.foreground:
            raise ValueError(
                f"background: {self.background:g} is above foreground, {self.foreground:g}; a box "
                "cannot be both"
            )
        return self


class Proposals(Matching):
    """The region proposal network."""

    foreground: Share = Field(0.7, description="An anchor is of the object that it overlaps so.")
    background: Share = Field(0.3, description="It is background if it overlaps all by less.")
    sampled: int = Field(256, ge=1, description="Anchors drawn per image.")
    positive_share: Share = Field(0.5, description="Share of anchors of objects, at most.")
    nms: Share = Field(0.7, description="Of two proposals with more than this IoU one is dropped.")
    before_nms: tuple[Count, Count] = Field(
        (2000, 1000), description="Best proposals of a level, in training and afterwards."
    )
    after_nms: tuple[Count, Count] = Field(
        (2000, 1000), description="Best proposals of an image, in training and afterwards."
    )


class Regions(Matching):
    """The classification and box regression heads on the proposals."""

    foreground: Share = Field(0.5, description="A proposal is of the object that it overlaps so.")
    background: Share = Field(0.5, description="It is background if it overlaps all by less.")
    sampled: int = Field(512, ge=1, description="Proposals drawn per image.")
    positive_share: Share = Field(0.25, description="Share of proposals of objects, at most.")
    nms: Share = Field(
        0.5, description="Of two detections of a class with more than this IoU one is dropped."
    )
    channels: int = Field(1024, ge=1, description="Width of the two layers of the heads.")
    score: Share = Field(0.05, description="Detections below this probability are dropped.")
    detections: int = Field(100, ge=1, description="Detections of an image at most.")


class TwoStage(Training):
    """Options of two-stage networks on the feature pyramid of any network of timm."""

    backbone_needs: ClassVar[tuple[str, ...]] = ("several_strides",)
    boxes_of_val: ClassVar[bool] = True

    backbone: Backbone = Backbone(name="resnet101", weights="pretrained", output_stride=32)
    frozen_stages: int = Field(
        2,
        ge=0,
        description="First stages of the backbone whose weights do not learn, as timm counts them: "
        "a ResNet's first is its stem.",
    )
    freeze_bn: bool = Field(
        True, description="Fix the backbone's batch norm: its statistics and its weights."
    )
    augment: ShortSides = ShortSides()
    pyramid_channels: int = Field(256, ge=1, description="Channels of the feature pyramid.")
    anchors: Anchors = Anchors()
    proposals: Proposals = Proposals()
    regions: Regions = Regions()
    validate_every: int = free(
        1, ge=1, description="Measure the AP of val's boxes after every n-th epoch, and the last."
    )

    @field_validator("backbone")
    @classmethod
    def _whole_stages(cls, value):
        if value.output_stride != 32:
            raise ValueError("a feature pyramid is of strides 4 to 32; set output_stride to 32")
        return value

    @model_validator(mode="after")
    def _frozen_weights_are_some(self):
        if self.backbone.weights is None and self.frozen_stages:
            raise ValueError(
                "backbone.weights: null, but frozen_stages do not learn; name a file, "
                "'pretrained', or set frozen_stages to 0"
            )
        return self


class FasterRcnn(TwoStage):
    """Faster R-CNN on the feature pyramid of any network of timm, as torchvision has it.

    The defaults are those of BBAM's public code (maskrcnn-benchmark) on VOC. On COCO it has a
    ResNet-50 and 180,000 steps of 8 images, the rate dropping after 120,000 and 160,000.
    """

    cites: ClassVar[tuple[str, ...]] = ("ren2015fasterrcnn", "lin2017fpn")
    learns_from: ClassVar[tuple[str, ...]] = ("boxes",)

    method: Literal["fasterrcnn"] = "fasterrcnn"
    epochs: int = Field(27, ge=1, description="27 · 662 = 17,874 steps on VOC.")
    batch_size: int = Field(16, ge=1, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer(
        lr=0.01, head_factor=1, momentum=0.9, poly_power=0, warmup=0.028, drops=(0.667, 0.889)
    )
    test_short_side: Side = Field(800, description="Short side of images that it is applied to.")
    difficult: Literal["keep", "leave_out"] = Field(
        "keep",
        description="Boxes that the data set calls difficult, and crowds: learn from them too, as "
        "BBAM's code does with VOC's, or leave them out, as it does with COCO's crowds; their "
        "place is then background.",
    )


METHODS = {"fasterrcnn": FasterRcnn}
