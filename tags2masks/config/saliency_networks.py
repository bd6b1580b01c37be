"""Networks that tell objects of any class from the background: one block per method."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from tags2masks.config.chains import ChainPath, chain_ending_in
from tags2masks.config.training import Augment, Backbone, Optimizer, Training


class SaliencyNetwork(Training):
    """Options that all saliency networks have."""

    start: ChainPath | None = chain_ending_in(
        "classifier",
        default=None,
        description="The classifier of which the backbone's weights are taken, where there are "
        "none of its name elsewhere; its training's supervision is then also this network's. null: "
        "`backbone.weights`.",
    )


class Contrast(SaliencyNetwork):
    """Options of C²AM's training, which sees images alone."""

    cites: ClassVar[tuple[str, ...]] = ("xie2022c2am",)

    backbone: Backbone = Field(
        Backbone(weights="pretrained"),
        description="Its last two stages are compared. The public code has a ResNet-50 of MoCo-v2, "
        "which saw no label.",
    )
    epochs: int = Field(10, ge=1)
    batch_size: int = Field(
        128,
        ge=2,
        description="Images per step, over all GPUs; those of one GPU are compared with each "
        "other. The public code's README warns of fewer than 32.",
    )
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="Images whose activations are in memory at a time, for batches larger than "
        "memory: a third more time, and the gradients of the whole batch. Not free: batch norm of "
        "the backbone that is not fixed (`freeze_bn: false`) is that of a micro-batch. null: all.",
    )
    optimizer: Optimizer = Optimizer(lr=1e-3, head_factor=10, momentum=1e-4)
    augment: Augment = Augment(resize=(512, 512), crop=448, square=True)
    freeze_bn: bool = False
    rank_decay: float = Field(
        0.25, ge=0, description="α: the weight of the r-th most alike image is exp(−α·r)."
    )
    pairs: Literal["others", "all"] = Field(
        "others",
        description="others: an image is compared with the others, as in the paper; all: with "
        "itself as well, as in the public code, where this adds a constant without gradient and "
        "divides the rest by more.",
    )


class C2am(Contrast):
    """Foregrounds alike, backgrounds alike, and one unlike the other (C²AM; CVPR 2022)."""

    method: Literal["c2am"] = "c2am"
    border: float = Field(
        0.143,
        gt=0,
        lt=0.5,
        description="Which side is the object is decided at the borders of all training images: "
        "the width of a border as a share of the side, 4 of 28 cells in the public code.",
    )


class C2amH(Contrast):
    """C²AM with hints: where a chain's maps are high there is an object (P-NOC, eq. 5)."""

    cites: ClassVar[tuple[str, ...]] = ("david2023pnoc", "xie2022c2am")

    method: Literal["c2am_h"] = "c2am_h"
    batch_size: int = Field(
        32,
        ge=2,
        description="Images per step, over all GPUs; one GPU's are compared with each other.",
    )
    hints: ChainPath = chain_ending_in(
        "maps", description="The chain of the maps, without the data set, such as `pnoc/cam`."
    )
    hint_score: float = Field(
        0.4, ge=0, lt=1, description="δ: an object is hinted where a class scores above this."
    )
    hint_weight: float = Field(1, ge=0, description="λ: weight of the hints in the loss.")
    hint_mean: Literal["cells", "sum"] = Field(
        "cells",
        description="cells: mean over the hinted cells of the batch, to which the public code's λ "
        "of 1 belongs; sum: their sum, as in eq. 5.",
    )
    label_smoothing: float = Field(
        0, ge=0, lt=1, description="ε: the hints' target is 1 − ε/2; the public code's is 0.1."
    )


class Refined(SaliencyNetwork):
    """A saliency network that learns from the masks of another one, and smooths out its errors.

    In the place of PoolNet, which P-NOC's and C²AM's public code train: an encoder of timm with a
    decoder of segmentation-models-pytorch. As there, whole images are seen, and mirrored.
    """

    cites: ClassVar[tuple[str, ...]] = ("david2023pnoc", "liu2019poolnet")
    takes: ClassVar[tuple[str, ...]] = ("object_masks",)
    backbone_needs: ClassVar[tuple[str, ...]] = ("several_strides",)

    method: Literal["refined"] = "refined"
    backbone: Backbone = Field(Backbone(weights="pretrained", output_stride=32))
    decoder: Literal["unet", "fpn"] = Field(
        "unet", description="The decoder of segmentation-models-pytorch."
    )
    epochs: int = Field(9, ge=1)
    batch_size: int = Field(10, ge=2, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer(
        name="adamw", lr=5e-5, head_factor=1, weight_decay=5e-4, poly_power=0
    )
    augment: Augment = Augment(resize=(512, 512))

    @model_validator(mode="after")
    def _whole_stride(self) -> "Refined":
        if self.backbone.output_stride != 32:
            raise ValueError("backbone.output_stride: the encoder's is 32; leave it out")
        return self


METHODS = {"c2am": C2am, "c2am_h": C2amH, "refined": Refined}
