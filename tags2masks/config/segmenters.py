"""Segmentation networks trained on pseudo-masks: one block per method.

Papers give the length of a training in steps, the config in epochs: VOC's 10,582 training images
are 1,059 steps of 10 images. Papers give scales of an image, the config its long side: 500 pixels
in VOC.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tags2masks.config.base import Block, added
from tags2masks.config.growing import Growing
from tags2masks.config.inference import Inference, NetworkCrf
from tags2masks.config.maskrcnn import MaskRcnn
from tags2masks.config.training import Augment, Backbone, Optimizer, Share, Training


class Segmenter(Training):
    """Options that all segmenters have."""

    minutes: ClassVar[int] = 1440

    init_from_classifier: bool = Field(
        False, description="Start the encoder from the classifier of the same experiment."
    )
    test: Inference = Inference()


class CrossEntropySegmenter(Segmenter):
    """Options of segmenters that learn from labels alone, which may grow."""

    growing: Growing | None = Field(
        None, description="Let labels grow during training; `{}`: as DSRG, null: don't."
    )
    label_smoothing: float = added(
        0,
        ge=0,
        lt=1,
        description="This share of each pixel's target is spread over all classes; P-NOC's code "
        "has 0.1.",
    )

    @model_validator(mode="after")
    def _loss_of_one_kind(self):
        if self.growing and self.label_smoothing:
            raise ValueError(
                "growing has losses of its own; set label_smoothing to 0, or growing to null"
            )
        return self

    def modules(self) -> list[str]:
        """`dsrg` is imported by name, so an edit of it affects only segmenters with `growing`."""
        return ["segmenters.dsrg"] if self.growing else []


class DeepLabV3Plus(CrossEntropySegmenter):
    """DeepLabV3+ of segmentation-models-pytorch on a timm encoder."""

    cites: ClassVar[tuple[str, ...]] = ("chen2018deeplabv3plus",)
    backbone_needs: ClassVar[tuple[str, ...]] = ("several_strides",)

    method: Literal["deeplabv3plus"] = "deeplabv3plus"
    epochs: int = Field(15, ge=1)
    optimizer: Optimizer = Optimizer(lr=0.007, head_factor=1, momentum=0.9)
    augment: Augment = Augment(resize=(256, 1024))
    freeze_bn: bool = False
    batch_size: int = Field(
        16, ge=2, description="Images per step, over all GPUs; at least two per GPU."
    )
    decoder_channels: int = Field(256, ge=8)
    decoder_groups: int | None = added(
        None,
        ge=1,
        description="Group norm of so many groups in the decoder, which small batches do not "
        "disturb, as P-NOC has it; null: batch norm.",
    )


class DeepLabV1(CrossEntropySegmenter):
    """DeepLab with one large field of view on ResNet-38d, as SEAM's public code trains it.

    The code's 20,000 steps of 10 images of VOC are 18.9 epochs; its scales 0.5 to 1.5 are long
    sides of 250 to 750. Its CRF at inference has one iteration: `test: {crf: {iterations: 1}}`.
    """

    cites: ClassVar[tuple[str, ...]] = ("chen2015deeplab",)

    method: Literal["deeplabv1"] = "deeplabv1"
    backbone: Backbone = Backbone(name="resnet38d", output_stride=8)
    epochs: int = Field(19, ge=1, description="19 · 1,059 = 20,121 steps on VOC.")
    batch_size: int = Field(10, ge=1, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4)
    augment: Augment = Augment(resize=(250, 750), crop=448)
    head_channels: int = Field(512, ge=1, description="Channels of the two layers before the last.")
    test: Inference = Inference(
        scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75), flip=True, crf=NetworkCrf()
    )


class DeepLabV2(CrossEntropySegmenter):
    """DeepLab with parallel dilated convolutions (ASPP) on the last features of any network.

    20,000 steps of 10 images of VOC are 18.9 epochs. LPCAM's paper has batches of 5 (`epochs: 9`),
    others 30,000 steps of 10 (`epochs: 28`). Scales 0.5 to 1.5 are long sides of 250 to 750. COCO:
    crop 481, rate 2e-4, 100,000 steps of 10.
    """

    cites: ClassVar[tuple[str, ...]] = ("chen2018deeplabv2",)

    method: Literal["deeplabv2"] = "deeplabv2"
    backbone: Backbone = Backbone(name="resnet101", output_stride=8)
    epochs: int = Field(19, ge=1, description="19 · 1,059 = 20,121 steps on VOC.")
    batch_size: int = Field(10, ge=1, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer(lr=2.5e-4, momentum=0.9, weight_decay=5e-4)
    augment: Augment = Augment(resize=(250, 750), crop=321)
    rates: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (6, 12, 18, 24), min_length=1, description="Dilation of each parallel convolution."
    )
    test: Inference = Inference(crf=NetworkCrf())


class UPerNet(CrossEntropySegmenter):
    """UPerNet of segmentation-models-pytorch on a timm encoder, by default a Swin transformer.

    LPCAM's 40,000 steps of 16 images of VOC (662 steps an epoch) are 60.4 epochs. Its resizing to
    2048 × 512 times 0.5 to 2 gives long sides of 341 to 1365 for images of 4:3. COCO: 80,000 steps.
    """

    cites: ClassVar[tuple[str, ...]] = ("xiao2018upernet",)
    backbone_needs: ClassVar[tuple[str, ...]] = ("several_strides",)

    method: Literal["upernet"] = "upernet"
    backbone: Backbone = Backbone(name="swin_tiny_patch4_window7_224", output_stride=32)
    epochs: int = Field(60, ge=1, description="60 · 662 = 39,720 steps on VOC.")
    optimizer: Optimizer = Optimizer(
        name="adamw", lr=6e-5, head_factor=1, weight_decay=0.01, poly_power=1
    )
    augment: Augment = Augment(resize=(341, 1365))
    freeze_bn: bool = False
    decoder_channels: int = Field(512, ge=8)


class Dpt(CrossEntropySegmenter):
    """DPT of segmentation-models-pytorch on a vision transformer with patches of 8, 16 or 32.

    Training as of `upernet`; DPT's paper trains on true masks, from a rate of its own.
    """

    cites: ClassVar[tuple[str, ...]] = ("ranftl2021dpt",)
    backbone_needs: ClassVar[tuple[str, ...]] = ("patches",)

    method: Literal["dpt"] = "dpt"
    backbone: Backbone = Backbone(name="vit_base_patch16_224")
    epochs: int = Field(60, ge=1, description="60 · 662 = 39,720 steps of 16 images on VOC.")
    batch_size: int = Field(
        16, ge=2, description="Images per step, over all GPUs; at least two per GPU."
    )
    optimizer: Optimizer = Optimizer(
        name="adamw", lr=6e-5, head_factor=10, weight_decay=0.01, poly_power=1
    )
    augment: Augment = Augment(resize=(341, 1365))
    freeze_bn: bool = False
    decoder_channels: int = Field(
        256, ge=8, description="Channels where features of several blocks are fused."
    )

    @model_validator(mode="after")
    def _patches(self):
        if self.backbone.patch not in (8, 16, 32):
            raise ValueError(
                f"backbone.name: {self.backbone.name} has patches of {self.backbone.patch} pixels, "
                "which make no pyramid of halves; take one with 8, 16 or 32, or the segmenter "
                "deeplabv2"
            )
        return self


class Mixed(DeepLabV3Plus):
    """DeepLabV3+ on the true masks of labelled images and the pseudo-masks of the others.

    The images are those that the data set's `labelled` names. Half of a batch is of each kind.
    """

    learns_from: ClassVar[tuple[str, ...]] = ("masks",)

    method: Literal["mixed"] = "mixed"
    batch_size: int = Field(
        16,
        ge=2,
        multiple_of=2,
        description="Images per step, over all GPUs: half of them labelled; at least two per GPU.",
    )


Count = Annotated[int, Field(ge=0)]


class Perturbations(Block):
    """Auxiliary decoders for each perturbation of the features, and its strength."""

    dropout: Count = Field(6, description="Decoders whose features have channels dropped.")
    dropout_rate: float = Field(0.5, ge=0, lt=1, description="Share of channels dropped.")
    cutout: Count = Field(6, description="Decoders with a rectangle cut out of each object.")
    cutout_share: Share = Field(0.4, description="Of an object's height and width.")
    vat: Count = Field(2, description="Decoders with features moved adversarially.")
    vat_distance: float = Field(2, ge=0, description="Length of this move (ε).")
    context_masking: Count = Field(2, description="Decoders that see objects alone.")
    object_masking: Count = Field(2, description="Decoders that see background alone.")
    feature_drop: Count = Field(6, description="Decoders without the most active cells.")
    drop_range: tuple[Share, Share] = Field(
        (0.7, 0.9),
        description="Cells are dropped from a share of the highest activity on, drawn from this "
        "range; an earlier version of the code has 0.6 to 0.9.",
    )
    feature_noise: Count = Field(6, description="Decoders with noise on the features.")
    noise_range: float = Field(0.3, ge=0, description="Largest relative change by noise.")

    @field_validator("drop_range")
    @classmethod
    def _ordered(cls, value):
        if value[0] > value[1]:
            raise ValueError("drop_range is a range: smallest share first")
        return value


class Cct(Segmenter):
    """Cross-consistency training on true masks, images without one, and their pseudo-masks.

    The data set's `labelled` names the images with true masks. An epoch is a pass over the others.
    After masks of method `full` there are no pseudo-masks, and the images' tags are not used.
    The public code trains for 80 epochs.
    """

    cites: ClassVar[tuple[str, ...]] = ("ouali2020cct",)
    learns_from: ClassVar[tuple[str, ...]] = ("masks",)

    method: Literal["cct"] = "cct"
    backbone: Backbone = Backbone(output_stride=8)
    epochs: int = Field(50, ge=1, description="Passes over the images without a true mask.")
    batch_size: int = Field(
        10,
        ge=2,
        description="Labelled images per step, and as many others, over all GPUs; at least two per "
        "GPU.",
    )
    optimizer: Optimizer = Optimizer(lr=1e-3, momentum=0.9)
    augment: Augment = Augment(resize=(200, 800), crop=320)
    freeze_bn: bool = False
    perturbations: Perturbations = Perturbations()
    consistency_weight: float = Field(30, ge=0, description="Final weight of the consistency loss.")
    weak_weight: float = Field(
        0.4, ge=0, description="Final weight of the auxiliary decoders' loss on pseudo-masks."
    )
    ramp_up: Share = Field(
        0.1, description="Share of the training over which both weights rise, from e⁻⁵ of the last."
    )

    @model_validator(mode="after")
    def _halves(self):
        if self.backbone.cell.bit_count() != 1:
            raise ValueError(
                f"backbone.name: {self.backbone.name} has patches of {self.backbone.cell} pixels, "
                "and the decoders double the size step by step; take one with 8, 16 or 32"
            )
        return self


METHODS = {
    "deeplabv3plus": DeepLabV3Plus,
    "deeplabv1": DeepLabV1,
    "deeplabv2": DeepLabV2,
    "upernet": UPerNet,
    "dpt": Dpt,
    "mixed": Mixed,
    "cct": Cct,
    "maskrcnn": MaskRcnn,
}
