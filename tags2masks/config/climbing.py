"""Maps that gradients of the score improve: climbs of the image (AdvCAM), of the network (RIB)."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from tags2masks.config.base import Block, added, free
from tags2masks.config.map_base import GradientPrecision, Maps, Scales, StepMap
from tags2masks.config.training import Augment


class Climb(Block):
    """An adversarial climb of an image for a class (AdvCAM; Lee et al., CVPR 2021)."""

    cites: ClassVar[tuple[str, ...]] = ("lee2021advcam",)

    steps: int = Field(27, ge=0, description="T: length of the climb; 0 is plain CAM.")
    steps_below_one: int | None = Field(
        None, ge=0, description="Length of the climb at scales below 1, if shorter; null: `steps`."
    )
    step: Literal["gradient", "scaled"] = Field(
        "gradient",
        description="Update of the image. gradient: step_size · gradient; scaled: step_size · "
        "gradient / its largest absolute value, clamped to the image's range before the update.",
    )
    step_size: float = Field(0.008, gt=0, description="ξ, in units of normalised images.")
    restrict_weight: float = Field(
        7, ge=0, description="λ: weight of the mask term, for the map that restrict_map names."
    )
    restrict_map: Literal["gradcam", "normalized"] = Field(
        "gradcam",
        description="The map in the mask term. gradcam, for which λ = 7 was chosen: the public "
        "code's Grad-CAM, whose channel weights are averaged over the positive gradients. With a "
        "linear head it is CAM/(2·n₊), n₊ the number of the class's positive weights (CAM/n₊ "
        "without flip). normalized: CAM divided by its maximum (eq. 2.1); then with λ = 7 the "
        "image does not climb.",
    )
    restrict_above: float = Field(
        0.5, ge=0, le=1, description="τ: the mask term covers where the normalised map exceeds it."
    )
    logit: Literal["plain", "rectified"] = Field(
        "plain", description="Pool the score map as it is (plain), or after ReLU (rectified)."
    )
    pairs_per_pass: int = free(
        4, ge=1, description="Pairs of an image and a class that climb together; limits memory."
    )


class AdvCam(Maps, Climb):
    """Maps along an adversarial climb of the image (AdvCAM; Lee et al., CVPR 2021).

    The defaults are the paper's. Its public code: `step: scaled`, `step_size: 0.08`,
    `steps: 26`, `steps_below_one: 12`, `logit: rectified`, `step_map: raw`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021advcam",)
    analyses: ClassVar[tuple[str, ...]] = ("climbs",)

    memory_mb: ClassVar[int] = 16000
    minutes: ClassVar[int] = 720

    method: Literal["advcam"] = "advcam"
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="The mirrored image climbs together with the image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    step_map: StepMap = Field(
        "normalized",
        description="Maps in the sum over the climb: divided by their maximum (eq. 2.1), or raw "
        "scores. The map in the mask term is set by restrict_map.",
    )
    keep_steps: bool = Field(
        False, description="Also store the map of every step, for tables and pictures of steps."
    )
    precision: GradientPrecision = Field("32-true", description="Autocast during the climb.")
    batch_size: int = free(16, ge=1, description="Images of equal size per batch.")


class Rib(Maps):
    """Maps of a network that is fine-tuned on each image (RIB; Lee et al., NeurIPS 2021).

    The defaults are the paper's. Its public code: `companions: 20`, `poly_power: 0.9`,
    `learn_from: views`, `step_map: raw`, `early_exit: true`, `steps: 9`. COCO: `lr: 5.0e-6`,
    `margin: 1000`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021rib",)
    analyses: ClassVar[tuple[str, ...]] = ("gradients",)

    helpers: ClassVar[tuple[str, ...]] = ("training",)
    memory_mb: ClassVar[int] = 16000
    folds: ClassVar[bool] = False
    minutes: ClassVar[int] = 720

    method: Literal["rib"] = "rib"
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also use the mirrored image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    steps: int = Field(10, ge=0, description="K: steps of fine-tuning; 0 is plain CAM.")
    lr: float = Field(
        8e-6,
        gt=0,
        description="Learning rate of plain gradient descent. The paper's is for ResNet-50; with "
        "EfficientNet-lite0 1e-4 was better (docs/results.md).",
    )
    head_factor: float = Field(10, gt=0, description="The head's learning rate, relative to lr.")
    poly_power: float = Field(0, ge=0, description="Rate = lr · (1 − step/steps)^power.")
    margin: float = Field(600, gt=0, description="m: logits are clipped to this in the loss.")
    loss: Literal["rib", "bce_sigmoid", "bce_tanh", "bce_softsign"] = added(
        "rib",
        description="rib: −Σ min(m, y) over an image's tags. bce_…: binary cross entropy of all "
        "classes, with logits mapped to 0 to 1 by sigmoid, (tanh + 1)/2 or (softsign + 1)/2, no "
        "a margin; the paper compares with these.",
    )
    pooling: Literal["gndrp", "gap"] = Field(
        "gndrp", description="Pool logits over the non-discriminative region, or the whole map."
    )
    pooled_below: float = Field(
        0.4, ge=0, le=1, description="τ of gndrp: pool where the normalised map is at most this."
    )
    companions: int = Field(
        19, ge=0, description="Random training images per step that share no tag with the image."
    )
    learn_from: Literal["image", "views"] = Field(
        "image",
        description="Loss over the image at scale 1, or over its views of scale 1 and more.",
    )
    step_map: StepMap = Field(
        "normalized", description="Maps in the sum over steps: divided by their maximum, or raw."
    )
    early_exit: bool = Field(
        False, description="Stop when an image's tagged logits sum to more than margin, or its "
        "map exceeds exit_score on more than exit_area of the image."
    )  # fmt: skip
    exit_score: float = Field(0.3, ge=0, le=1, description="See early_exit.")
    exit_area: float = Field(0.7, ge=0, le=1, description="See early_exit.")
    augment: Augment = Field(Augment(), description="Random views of the companions.")
    keep_steps: bool = Field(
        False, description="Also store the map of every step, for tables and pictures of steps."
    )
    precision: GradientPrecision = Field("32-true", description="Autocast during fine-tuning.")
    batch_size: int = free(1, ge=1, description="Images of equal size per batch.")
    climb: Climb | None = added(
        None,
        description="With AdvCAM, as `climb: {}`: the maps of all steps are of the image at the "
        "end of its climb for the class, which the trained network leads, scale by scale. null: of "
        "the image. Our reading of a combination that its thesis does not describe (table 4.7).",
    )
    companions_per_pass: int = free(
        20, ge=1, description="Companions per forward and backward pass; limits memory."
    )

    def modules(self) -> list[str]:
        """The module of the climb, where there is one."""
        return ["maps.advcam"] if self.climb else []

    @field_validator("scales")
    @classmethod
    def _with_one(cls, value):
        if 1 not in value:
            raise ValueError("scales must hold 1, the size at which the image is learned from")
        return value
