"""Classifiers that bring maps of their own, beside which LPCAM can be put: a block each."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tags2masks.config.base import free
from tags2masks.config.tag_training import TagAugment, TagTraining
from tags2masks.config.training import Augment, Backbone, Optimizer, Training


class FickleNet(TagTraining):
    """FickleNet: a convolution whose windows keep random cells (Lee et al., CVPR 2019).

    Its maps are those of method `ficklenet`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2019ficklenet",)

    method: Literal["ficklenet"] = "ficklenet"
    epochs: int = Field(5, ge=1)
    optimizer: Optimizer = Optimizer(momentum=1e-4)
    kernel: int = Field(9, ge=1, le=31, description="s, the side of the windows, in cells; odd.")
    drop: float = Field(
        0.9, ge=0, lt=1, description="Probability that a cell of a window is dropped."
    )
    keep_centre: bool = Field(True, description="Never drop the cell in the middle of a window.")

    @field_validator("kernel")
    @classmethod
    def _odd(cls, value):
        if value % 2 == 0:
            raise ValueError(f"{value} has no middle; use an odd number")
        return value

    @property
    def offers(self) -> frozenset[str]:
        """It has windows that keep random cells."""
        return frozenset({"random_windows"})


class Amn(Training):
    """AMN: a classifier of pixels that learns from the masks that it follows (Lee, CVPR 2022).

    It is told the image's tags. The paper's masks: `confident` with `foreground_score: 0.3` and
    `background_score: 0.05`. Scales 0.5 to 1.5 are long sides of 250 to 750.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2022amn",)

    takes: ClassVar[tuple[str, ...]] = ("masks",)
    learns_from: ClassVar[tuple[str, ...]] = ("tags",)

    method: Literal["amn"] = "amn"
    epochs: int = Field(5, ge=1)
    optimizer: Optimizer = Optimizer(name="adamw", lr=5e-6, head_factor=20, poly_power=0)
    augment: Augment = Augment(resize=(250, 750))
    validate_every: int = free(
        1, ge=1, description="Measure val's mAP every so many epochs, and after the last."
    )
    smoothing: float = Field(
        0.4, ge=0, lt=1, description="ε: this share of a target is spread over the other labels."
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the head, in training.")
    rates: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (6, 12, 18, 24), min_length=1, description="Dilation of each parallel convolution (ASPP)."
    )

    @property
    def offers(self) -> frozenset[str]:
        """It is told the tags, by which its features are gated."""
        return frozenset({"label_gate"})


class MctFormer(TagTraining):
    """MCTformer (V2): a vision transformer with a class token for each class (Xu, CVPR 2022).

    Its maps are those of method `mctformer`.
    """

    cites: ClassVar[tuple[str, ...]] = ("xu2022mctformer",)
    backbone_needs: ClassVar[tuple[str, ...]] = ("patches",)

    method: Literal["mctformer"] = "mctformer"
    backbone: Backbone = Backbone(name="deit_small_patch16_224", args={"drop_path_rate": 0.1})
    epochs: int = Field(60, ge=1)
    batch_size: int = Field(64, ge=1, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Field(
        Optimizer(name="adamw", lr=6.25e-5, head_factor=1, weight_decay=0.05, warmup=0.083),
        description="The public code's rate falls along a cosine.",
    )
    augment: TagAugment = Field(
        TagAugment(resize=(256, 256), square=True, crop=224, randaugment=2),
        description="The public code crops 0.08 to 1 of the image, and erases a part of it.",
    )
    final_norm: bool = Field(
        True,
        description="The backbone's last layer norm on all tokens; false: tokens as they leave the "
        "last block, as in the public code. Without pretrained weights set it to false: the mean "
        "of a normalised token is 0 until the norm has learned.",
    )

    @property
    def offers(self) -> frozenset[str]:
        """It has a class token for each class, and attention between tokens."""
        return frozenset({"class_tokens"})


class Edam(TagTraining):
    """EDAM: compares two images of a class through that class's mask (Wu et al., CVPR 2021).

    Its maps are those of method `cam`; its seeds cut these with maps of objects (`saliency_cut`).
    An epoch has a pair for every training image.
    """

    cites: ClassVar[tuple[str, ...]] = ("wu2021edam",)

    method: Literal["edam"] = "edam"
    backbone: Backbone = Backbone(name="resnet38d", output_stride=8)
    epochs: int = Field(13, ge=1, description="The public code: 25 of half as many pairs.")
    batch_size: int = Field(4, ge=1, description="Pairs of images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer(lr=1e-3, weight_decay=5e-4, warmup=0.06)
    augment: TagAugment = TagAugment(resize=(256, 512), crop=368, jitter=(0.3, 0.3, 0.3, 0.1))
    width: int = Field(128, ge=2, multiple_of=2, description="Channels that are compared.")
    heads: int = Field(2, ge=1, description="Heads of the transformer blocks; a divisor of width.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in the transformer blocks.")

    @model_validator(mode="after")
    def _divided(self):
        if self.width % self.heads:
            raise ValueError(
                f"heads: {self.heads} is no divisor of width, {self.width}; take one, such as 2"
            )
        return self
