"""Localization: per-class score maps from a classifier, one block per method."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from tags2masks.config.base import Entry, added, free
from tags2masks.config.prototypes import Prototypes
from tags2masks.config.training import Augment, Precision

# Gradients in fp16 would need a loss scale.
GradientPrecision = Literal["32-true", "bf16-mixed"]
StepMap = Literal["normalized", "raw"]
Scales = Annotated[tuple[Annotated[float, Field(gt=0, le=4)], ...], Field(min_length=1)]


class Maps(Entry):
    """What all methods share."""

    learns_from: ClassVar[tuple[str, ...]] = ("tags",)  # only an image's tags are localized
    memory_mb: ClassVar[int] = 12000
    uses_gpu: ClassVar[bool] = True

    images: int | None = Field(
        None,
        ge=1,
        description="Localize only so many of the training images, evenly spaced, to look at a "
        "slow method; null: all. With a number the experiment must end at its maps.",
    )


class MultiScale(Maps):
    """What methods share that look at several sizes of the image and add up their maps."""

    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also look at the mirrored image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(16, ge=1, description="Images of like size per forward pass.")


class Cam(MultiScale):
    """Class activation maps over scales and flips."""

    cites: ClassVar[tuple[str, ...]] = ("zhou2016cam",)

    method: Literal["cam"] = "cam"


class Pcm(MultiScale):
    """Maps refined by the classifier's pixel correlation module, of `seam` and `sampling`."""

    cites: ClassVar[tuple[str, ...]] = ("wang2020seam",)

    needs: ClassVar[tuple[str, ...]] = ("pixel_correlation",)

    method: Literal["pcm"] = "pcm"


class Lpcam(MultiScale):
    """Local prototype CAM (Chen & Sun, CVPR 2023)."""

    cites: ClassVar[tuple[str, ...]] = ("chen2023lpcam",)

    helpers: ClassVar[tuple[str, ...]] = ("prototypes",)

    method: Literal["lpcam"] = "lpcam"
    prototypes: Prototypes = Prototypes()
    context: bool = Field(
        True, description="Subtract the likeness to the context; false is the paper's LPCAM-F."
    )
    flip_features: bool = Field(
        False,
        description="Add the mirrored image's features before they are compared, as the "
        "public code does; false: add the maps, as of CAM.",
    )
    relu: Literal["scale", "sum"] = added(
        "scale",
        description="Where eq. 6 cuts negative scores off: in the map of each scale (and view), as "
        "in the public code, or in the sum over them.",
    )


class GradCam(MultiScale):
    """Feature maps weighted by the gradient of a class's logit, over scales and flips."""

    cites: ClassVar[tuple[str, ...]] = ("selvaraju2017gradcam",)

    method: Literal["gradcam"] = "gradcam"


class Saliency(Maps):
    """The gradient of a class's logit with respect to the image."""

    cites: ClassVar[tuple[str, ...]] = ("simonyan2014saliency", "maruf2023saliency")

    method: Literal["saliency"] = "saliency"
    stride: int = Field(4, ge=1, le=32, description="Image pixels averaged into a map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(8, ge=1, description="Images of like size per forward pass.")


class Sampled(Maps):
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

    cites: ClassVar[tuple[str, ...]] = ("smilkov2017smoothgrad", "maruf2023saliency")

    method: Literal["smoothgrad"] = "smoothgrad"
    sigma: float = Field(
        0.5,
        ge=0,
        description="Deviation of the noise, of values in 0 to 1. The paper's; its own "
        "figures fall above 0.2.",
    )


class BinaryMask(Sampled):
    """Saliency of images with pixels switched off, averaged."""

    cites: ClassVar[tuple[str, ...]] = ("maruf2023saliency",)

    method: Literal["binarymask"] = "binarymask"
    keep: float = Field(0.9, gt=0, le=1, description="Chance that a pixel stays on.")


class RandomPatch(Sampled):
    """Saliency of images with patches switched off, averaged."""

    cites: ClassVar[tuple[str, ...]] = ("maruf2023saliency",)

    method: Literal["randompatch"] = "randompatch"
    grid: int = Field(16, ge=1, description="Patches along each side of the image.")
    off: float = Field(0.1, ge=0, lt=1, description="Chance that a patch is switched off.")


class DiscPatch(Sampled):
    """The same, patches of high CAM being switched off more often."""

    cites: ClassVar[tuple[str, ...]] = ("maruf2023saliency",)

    method: Literal["discpatch"] = "discpatch"
    grid: int = Field(16, ge=1, description="Patches along each side of the image.")
    alpha: float = Field(
        0.4, ge=0, lt=1, description="A patch is switched off with this times its CAM."
    )


class RandomCrop(Sampled):
    """Saliency of random crops in their places, each weighted with the sigmoid of its logit."""

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
    """The same, crops of high CAM being left out more often."""

    method: Literal["disccrop"] = "disccrop"
    beta: float = Field(0.7, gt=0, description="A crop is kept with this less its CAM, if above 0.")


class AdvCam(Maps):
    """Maps along an adversarial climb of the image (AdvCAM; Lee et al., CVPR 2021).

    The defaults are the paper's. Its public code: `step: scaled`, `step_size: 0.08`,
    `steps: 26`, `steps_below_one: 12`, `logit: rectified`, `step_map: raw`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021advcam",)

    memory_mb: ClassVar[int] = 16000
    minutes: ClassVar[int] = 720

    method: Literal["advcam"] = "advcam"
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="The mirrored image climbs with the image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    steps: int = Field(27, ge=0, description="T: steps of the climb; 0 is plain CAM.")
    steps_below_one: int | None = Field(
        None, ge=0, description="Steps at scales below 1, if fewer; null: as many as elsewhere."
    )
    step: Literal["gradient", "scaled"] = Field(
        "gradient",
        description="The image moves by step_size · gradient; scaled: by step_size · gradient over "
        "its largest absolute value, and stays within the range that it has before the step.",
    )
    step_size: float = Field(0.008, gt=0, description="ξ, in units of normalised images.")
    restrict_weight: float = Field(
        7, ge=0, description="λ: weight of the mask term, in the unit that restrict_map names."
    )
    restrict_map: Literal["gradcam", "normalized"] = Field(
        "gradcam",
        description="Unit of the map in the mask term. gradcam, which λ = 7 belongs to: the public "
        "code's Grad-CAM, whose channel weights are averaged over the positive gradients; of a "
        "linear head CAM/(2·n₊), n₊ the number of the class's positive weights (CAM/n₊ without "
        "flip). normalized: CAM divided by its maximum (eq. 2.1), where λ = 7 lets nothing climb.",
    )
    restrict_above: float = Field(
        0.5, ge=0, le=1, description="τ: where the normalised map exceeds it, it is to stay."
    )
    logit: Literal["plain", "rectified"] = Field(
        "plain", description="A class's score map is pooled as it is, or its positive part alone."
    )
    step_map: StepMap = Field(
        "normalized",
        description="Maps in the sum over steps: divided by their maximum (eq. 2.1), or raw "
        "scores. The mask term has a unit of its own, restrict_map.",
    )
    keep_steps: bool = Field(False, description="Also store the map of every step, for analyses.")
    precision: GradientPrecision = Field("32-true", description="Autocast during the climb.")
    batch_size: int = free(16, ge=1, description="Images of like size that are taken together.")
    pairs_per_pass: int = free(
        4, ge=1, description="Pairs of an image and a class that climb together; bounds memory."
    )


class Rib(Maps):
    """Maps of a network that is fine-tuned on each image (RIB; Lee et al., NeurIPS 2021).

    The defaults are the paper's. Its public code: `companions: 20`, `poly_power: 0.9`,
    `learn_from: views`, `step_map: raw`, `early_exit: true`, `steps: 9`. COCO: `lr: 5.0e-6`,
    `margin: 1000`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021rib",)

    helpers: ClassVar[tuple[str, ...]] = ("training",)
    memory_mb: ClassVar[int] = 16000
    minutes: ClassVar[int] = 720

    method: Literal["rib"] = "rib"
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also look at the mirrored image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    steps: int = Field(10, ge=0, description="K: steps of fine-tuning; 0 is plain CAM.")
    lr: float = Field(8e-6, gt=0, description="Rate of plain gradient descent.")
    head_factor: float = Field(10, gt=0, description="The head learns this much faster.")
    poly_power: float = Field(0, ge=0, description="Rate = lr · (1 − step/steps)^power.")
    margin: float = Field(600, gt=0, description="m: logits above it no longer count.")
    loss: Literal["rib", "bce_sigmoid", "bce_tanh", "bce_softsign"] = added(
        "rib",
        description="rib: −Σ min(m, y) over an image's tags. bce_…: binary cross entropy of all "
        "classes, logits brought to 0 to 1 by sigmoid, or by tanh or softsign and (· + 1)/2; the "
        "paper's comparisons, which have no margin.",
    )
    pooling: Literal["gndrp", "gap"] = Field(
        "gndrp", description="Logits from the non-discriminative region, or from all of the map."
    )
    pooled_below: float = Field(
        0.4, ge=0, le=1, description="τ of gndrp: pooled is where the normalised map is at most it."
    )
    companions: int = Field(
        19, ge=0, description="Random training images per step that share no tag with the image."
    )
    learn_from: Literal["image", "views"] = Field(
        "image",
        description="What of the image is in the loss: it alone, or its views of scale 1 and more.",
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
    keep_steps: bool = Field(False, description="Also store the map of every step, for analyses.")
    precision: GradientPrecision = Field("32-true", description="Autocast during fine-tuning.")
    batch_size: int = free(1, ge=1, description="Images of like size that are taken together.")
    companions_per_pass: int = free(
        20, ge=1, description="Companions per forward and backward pass; bounds memory."
    )

    @field_validator("scales")
    @classmethod
    def _with_one(cls, value):
        if 1 not in value:
            raise ValueError("scales must hold 1, the size at which the image is learned from")
        return value


METHODS = {
    "cam": Cam,
    "pcm": Pcm,
    "lpcam": Lpcam,
    "gradcam": GradCam,
    "saliency": Saliency,
    "smoothgrad": SmoothGrad,
    "binarymask": BinaryMask,
    "randompatch": RandomPatch,
    "discpatch": DiscPatch,
    "randomcrop": RandomCrop,
    "disccrop": DiscCrop,
    "advcam": AdvCam,
    "rib": Rib,
}
