"""Options of every training: backbone, random views of the images, optimisation."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tags2masks.config.base import Block, Entry, added, free
from tags2masks.config.vision_transformers import near_multiples, patch_of

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Share = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=1e-3)]


class Backbone(Block):
    """A timm network, `convnet` (for contribution windows), or `resnet38d`.

    offers: `several_strides`, stages whose maps get smaller; or `patches`, tokens of one stride.
    """

    name: str = Field(
        "resnet50",
        description="Model name in timm, convolutional or a plain vision transformer; or convnet, "
        "with args kernel, channels and layers and "
        "features at the image's size; or resnet38d, with output stride 8 and weights named as in "
        "AffinityNet's public code.",
    )
    weights: str | None = Field(
        None,
        description="A .safetensors or weights-only .pth file (its name, not its folder, is in "
        "the artifact's id), 'pretrained' for timm's hub, or null for random.",
    )
    weights_prefix: str = added(
        "",
        description="What the names of the network's tensors begin with in the file; others in it "
        "are skipped. MoCo-v2's and DetCo's is `module.encoder_q.`.",
    )
    output_stride: Literal[8, 16, 32] = Field(
        16,
        description="Input pixels per feature pixel. Vision transformers have their patches, and "
        "no use for it.",
    )
    args: dict[str, str | int | float | bool] = Field(
        {}, description="Further arguments of timm.create_model, such as pad_type."
    )
    freeze: bool = added(
        False,
        description="Do not train the backbone: its features of the training images are stored "
        "once, and the head learns from them. Of the classifier vanilla alone.",
    )
    mean: tuple[Share, Share, Share] = Field(
        (0.485, 0.456, 0.406), description="Channel means, for values in 0 to 1."
    )
    std: tuple[Deviation, Deviation, Deviation] = Field(
        (0.229, 0.224, 0.225), description="Channel standard deviations, for values in 0 to 1."
    )

    @property
    def patch(self) -> int | None:
        """The side of a vision transformer's patches, in pixels; None for other networks."""
        patch = patch_of(self.name)
        return patch and int(self.args.get("patch_size", patch))

    @property
    def cell(self) -> int:
        """Input pixels per feature pixel."""
        return 1 if self.name == "convnet" else self.patch or self.output_stride

    @property
    def offers(self) -> frozenset[str]:
        """What methods may need of a backbone, see `Training.backbone_needs`."""
        if self.name == "convnet":
            return frozenset()
        return frozenset({"patches" if self.patch else "several_strides"})

    def cited(self) -> list[str]:
        """The paper of `resnet38d`; timm's networks are too many to list."""
        return ["wu2019resnet38"] if self.name == "resnet38d" else []

    def weights_file(self) -> str | None:
        """The path of the weights file, or None if the weights are not from a file."""
        return None if self.weights in (None, "pretrained") else self.weights

    def key(self) -> dict:
        """As for all blocks, but with only the name of a weights file, not its folder.

        Without the output stride of a vision transformer, which has none.
        """
        values = super().key()
        if self.patch:
            values.pop("output_stride")
        if self.weights_file():
            values["weights"] = self.weights.replace("\\", "/").rsplit("/", 1)[-1]
        return values


class Augment(Block):
    """Random views of the training images."""

    resize: tuple[int, int] = Field(
        (320, 640), description="Range of the long side after resizing, in pixels."
    )
    crop: int = Field(512, ge=8, description="Side of the square crop; smaller images are padded.")
    flip: float = Field(0.5, ge=0, le=1, description="Probability of a horizontal flip.")
    square: bool = added(
        False, description="Resize to a square of the long side; false: keep the aspect ratio."
    )

    @field_validator("resize")
    @classmethod
    def _ordered(cls, value):
        if not 8 <= value[0] <= value[1]:
            raise ValueError("resize is a range: smallest long side (8 or more) first")
        return value


class Optimizer(Block):
    """An optimizer with polynomial decay of the learning rate per step, or drops to a tenth."""

    name: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(0.01, gt=0, le=1000, description="Initial learning rate of the backbone.")
    head_factor: float = Field(
        10, gt=0, le=1e6, description="Learning rate of new layers, relative to lr."
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd.")
    weight_decay: float = Field(1e-4, ge=0)
    poly_power: float = Field(0.9, ge=0, description="Rate = initial · (1 − step/steps)^power.")
    warmup: float = Field(
        0, ge=0, lt=1, description="Share of the steps over which the rate rises from zero."
    )
    drops: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = added(
        (), description="Shares of the steps after each of which the rate is a tenth of before."
    )


class Ramp(Block):
    """A weight that changes linearly over the steps of a training, then stays constant."""

    start: float = Field(ge=0)
    end: float = Field(ge=0)
    until: float = Field(1, gt=0, description="When it reaches `end`, in `unit`.")
    unit: Literal["share", "epochs", "steps"] = added(
        "share", description="Unit of `until`: share of the training, epochs, or steps."
    )

    @model_validator(mode="after")
    def _within(self):
        if self.unit == "share" and self.until > 1:
            raise ValueError(
                f"until: {self.until:g} is a share of the training, 1 at most; for a number of "
                "steps or epochs add unit: steps or unit: epochs"
            )
        return self

    def at(self, progress: float, steps: int, epochs: int) -> float:
        """The value after `steps` steps, which are this share of a training of `epochs` epochs."""
        done = {"share": progress, "epochs": progress * epochs, "steps": steps}[self.unit]
        return self.start + (self.end - self.start) * min(1.0, done / self.until)


LACKING = {
    "several_strides": "has features of one stride, and the method needs those of several; take a "
    "convolutional network such as resnet50 (a vision transformer's segmenters are dpt and "
    "deeplabv2)",
    "patches": "is no plain vision transformer, which the method needs; take one such as "
    "vit_base_patch16_224",
}
"""What is wrong with a backbone that does not offer what a method needs."""


class Training(Entry):
    """Options of a training run.

    backbone_needs: what the method needs of its backbone, of `Backbone.offers`.
    boxes_of_val: whether val's boxes measure it after epochs, in a chain that learns from boxes.
    """

    backbone_needs: ClassVar[tuple[str, ...]] = ()
    boxes_of_val: ClassVar[bool] = False
    memory_mb: ClassVar[int] = 16000
    minutes: ClassVar[int] = 720
    uses_gpu: ClassVar[bool] = True

    backbone: Backbone = Backbone()
    epochs: int = Field(ge=1)
    batch_size: int = Field(16, ge=1, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer()
    augment: Augment = Augment()
    freeze_bn: bool = Field(True, description="Keep the backbone's batch norm in evaluation mode.")
    precision: Precision = Field(
        "32-true",
        description="Mixed precision by autocast: bf16-mixed with bfloat16, 16-mixed with float16 "
        "and loss scaling; weights stay float32. For GPUs; on cpu values are rounded in the same "
        "way, and float16 is many times slower than float32.",
    )
    keep_states: bool = free(
        False, description="Keep the checkpoint of every epoch under state/, not only the last."
    )

    @model_validator(mode="after")
    def _fitting_backbone(self):
        backbone = self.backbone
        if backbone.freeze and "features" not in self.derived:
            raise ValueError(
                f"backbone.freeze: {getattr(self, 'method', 'this method')} does not learn from "
                "stored features; leave it out, or take the classifier vanilla"
            )
        for need in self.backbone_needs:
            if need not in backbone.offers:
                raise ValueError(f"backbone.name: {backbone.name} {LACKING[need]}")
        patch = backbone.patch
        if patch and (crop := self.augment.crop) % patch:
            near = " or ".join(map(str, near_multiples(crop, patch)))
            raise ValueError(
                f"augment.crop: {crop} is no multiple of the {patch} × {patch} patches of "
                f"{backbone.name}; take {near}"
            )
        return self
