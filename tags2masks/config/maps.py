"""Localization: per-class score maps from a classifier, one block per method."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tags2masks.config.base import Block, Entry, InFolder, added, free, user_folder
from tags2masks.config.chains import ChainPath, chain_ending_in
from tags2masks.config.prototypes import Prototypes
from tags2masks.config.training import Augment, Precision
from tags2masks.supervision import SOURCES

# Gradients in fp16 would need a loss scale.
GradientPrecision = Literal["32-true", "bf16-mixed"]
PER_PASS = (
    "Images of equal size per forward pass; on a CPU fewer, if they have more than 800,000 pixels."
)
StepMap = Literal["normalized", "raw"]
Scales = Annotated[tuple[Annotated[float, Field(gt=0, le=4)], ...], Field(min_length=1)]


class Maps(Entry):
    """Options that all map methods have."""

    learns_from: ClassVar[tuple[str, ...]] = ("tags",)  # only an image's tags are localized
    memory_mb: ClassVar[int] = 12000
    uses_gpu: ClassVar[bool] = True
    forward_only: ClassVar[bool] = False  # the backbone is only looked through: it may be folded
    analyses: ClassVar[tuple[str, ...]] = ()  # of `evaluation`, that are of how these maps are made

    images: int | None = Field(
        None,
        ge=1,
        description="Localize only this number of training images, evenly spaced, to try a slow "
        "method; null: all. With a number the experiment must end at its maps.",
    )


class MultiScale(Maps):
    """Options of methods that sum maps over several scales of the image."""

    forward_only: ClassVar[bool] = True

    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also use the mirrored image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(16, ge=1, description=PER_PASS)


class Cam(MultiScale):
    """Class activation maps over scales and flips; of `amn` its own maps, as of method `amn`."""

    cites: ClassVar[tuple[str, ...]] = ("zhou2016cam",)

    method: Literal["cam"] = "cam"
    network: Literal["own", "noc"] = added(
        "own",
        description="own: the classifier. noc: the not-so-ordinary classifier, which `pnoc` trains "
        "beside its own (P-NOC, figure 2).",
    )

    @property
    def needs(self) -> tuple[str, ...]:
        """The second network, where it is the one."""
        return ("noc",) if self.network == "noc" else ()


class AmnMaps(MultiScale):
    """Probabilities of a classifier of method `amn`, each class's from 0 to 1 in an image."""

    cites: ClassVar[tuple[str, ...]] = ("lee2022amn",)

    needs: ClassVar[tuple[str, ...]] = ("label_gate",)
    rule: ClassVar[str] = "amn_maps"

    method: Literal["amn"] = "amn"
    sure_background: Literal["stretched", "raw"] = Field(
        "stretched",
        description="Probabilities where the masks that the classifier learned from are "
        "background: stretched from their minimum to their maximum as everywhere, or raw, as in "
        "the public code, so that they stay low.",
    )

    @property
    def helpers(self) -> tuple[str, ...]:
        """These masks, where they count."""
        return ("masks",) if self.sure_background == "raw" else ()


class Pcm(MultiScale):
    """Maps refined by the pixel correlation module of a `seam` or `sampling` classifier."""

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
        True, description="Subtract the similarity to the context; false: the paper's LPCAM-F."
    )
    flip_features: bool = Field(
        False,
        description="Sum the features of the image and its mirror image before the comparison, as "
        "in the public code; false: sum the maps, as in CAM.",
    )
    relu: Literal["scale", "sum"] = added(
        "scale",
        description="Where the ReLU of eq. 6 is applied: to the map of each scale (and view), as "
        "in the public code, or to their sum.",
    )


class MctFormerMaps(MultiScale):
    """Attention of an `mctformer` classifier's class tokens times its patches' scores (CVPR 2022).

    The paper's maps are of the image at its size and its mirror image.
    """

    cites: ClassVar[tuple[str, ...]] = ("xu2022mctformer",)

    needs: ClassVar[tuple[str, ...]] = ("class_tokens",)
    rule: ClassVar[str] = "mctformer_maps"

    method: Literal["mctformer"] = "mctformer"
    scales: Scales = Field((1.0,), description="Sizes relative to the image.")
    kind: Literal["fused", "attention", "patch"] = Field(
        "fused",
        description="fused: class-to-patch attention times the patches' map; attention or patch: "
        "one of them alone, as in the paper's ablation.",
    )
    layers: int = Field(
        3, ge=1, description="K: class-to-patch attention is summed over the last K blocks."
    )
    refine: bool = Field(
        True,
        description="Spread the maps once by the attention between patches of all blocks.",
    )
    patch_map: Literal["cam", "lpcam"] = Field(
        "cam",
        description="The patches' map: cam, the classifier's score map (PatchCAM); lpcam, likeness "
        "of the patches' tokens to `prototypes`.",
    )
    prototypes: Prototypes = Field(
        Prototypes(), description="With `patch_map: lpcam`; else none are made."
    )
    context: bool = Field(
        True, description="With `patch_map: lpcam`: subtract the similarity to the context."
    )

    @property
    def helpers(self) -> tuple[str, ...]:
        """The prototypes, where they count."""
        return ("prototypes",) if self.patch_map == "lpcam" else ()

    def cited(self) -> list[str]:
        """LPCAM's paper too, where its maps count."""
        return [*self.cites, *(self.prototypes.cites if self.helpers else ())]

    def key(self) -> dict[str, Any]:
        """As for all blocks, without what only `lpcam` uses where it is not used."""
        unused = () if self.helpers else ("prototypes", "context")
        return {name: value for name, value in super().key().items() if name not in unused}


class GradCam(MultiScale):
    """Feature maps weighted by the gradient of a class's logit, over scales and flips."""

    cites: ClassVar[tuple[str, ...]] = ("selvaraju2017gradcam",)

    method: Literal["gradcam"] = "gradcam"


class ClipEs(Maps):
    """Maps of `clip`, without a training (CLIP-ES; Lin et al., CVPR 2023).

    Grad-CAM of the softmax over the image's tags and background texts, then spread along the
    attention of the image tower.
    """

    cites: ClassVar[tuple[str, ...]] = ("lin2023clipes", "selvaraju2017gradcam")

    needs: ClassVar[tuple[str, ...]] = ("texts",)

    method: Literal["clip_es"] = "clip_es"
    affinity: bool = Field(
        True, description="Spread maps along attention; false: the maps of softmax Grad-CAM."
    )
    layers: int = Field(8, ge=1, description="Last layers whose attention is averaged.")
    rounds: int = Field(
        3, ge=1, description="Times that columns and then rows of the attention sum to 1."
    )
    steps: int = Field(2, ge=1, description="t: how often a map is spread.")
    box_score: float = Field(
        0.4,
        ge=0,
        lt=1,
        description="λ: maps are spread from the boxes around what is above this share of their "
        "maximum.",
    )
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: GradientPrecision = Field("32-true", description="Autocast of the image tower.")
    batch_size: int = free(8, ge=1, description=PER_PASS)


class FickleNetMaps(Maps):
    """Maps of many random passes of a `ficklenet` classifier, averaged (Lee et al., CVPR 2019).

    Needs no `scales`: the image is seen at its size. Mean and highest value of the passes are
    stored too, for masks of method `any_pass`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2019ficklenet",)
    forward_only: ClassVar[bool] = True

    needs: ClassVar[tuple[str, ...]] = ("random_windows",)
    rule: ClassVar[str] = "ficklenet_maps"

    method: Literal["ficklenet"] = "ficklenet"
    passes: Annotated[int, Field(ge=1)] | Literal["expected"] = Field(
        200,
        description="N, the number of passes; expected: the map of the expected pass, without "
        "random numbers.",
    )
    keep_passes: int = added(
        0, ge=0, description="Also store the maps of so many single passes, for pictures."
    )
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: Precision = Field("32-true", description="Autocast of the features.")
    batch_size: int = free(16, ge=1, description=PER_PASS)

    @model_validator(mode="after")
    def _enough(self) -> "FickleNetMaps":
        if self.keep_passes > (0 if self.passes == "expected" else self.passes):
            raise ValueError(
                f"keep_passes: {self.keep_passes} of passes: {self.passes}; keep no more than that"
            )
        return self

    @property
    def offers(self) -> frozenset[str]:
        """Its passes' mean and highest values."""
        return frozenset() if self.passes == "expected" else frozenset({"passes"})


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
    minutes: ClassVar[int] = 720

    method: Literal["rib"] = "rib"
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also use the mirrored image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    steps: int = Field(10, ge=0, description="K: steps of fine-tuning; 0 is plain CAM.")
    lr: float = Field(8e-6, gt=0, description="Learning rate of plain gradient descent.")
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


class MeanMaps(Maps):
    """The mean of the maps of several chains.

    What it follows is the classifier by whose features a background score is chosen for the mean.
    """

    for_parts: ClassVar[tuple[str, ...]] = ("classifier",)
    program: ClassVar[str] = "average_maps"
    memory_mb: ClassVar[int] = 4000
    uses_gpu: ClassVar[bool] = False

    method: Literal["mean"] = "mean"
    of: Annotated[tuple[ChainPath, ...], Field(min_length=2)] = chain_ending_in(
        "maps",
        description="The chains, without the data set, such as `[vanilla/cam, vanilla/lpcam]`.",
    )


class GivenMaps(InFolder, Maps):
    """Maps from elsewhere, such as another program's CAMs: a folder with a file for each image.

    It follows a classifier if a background score is to be chosen by that one's features.
    """

    takes: ClassVar[tuple[str, ...]] = ("dataset", "classifier")
    for_parts: ClassVar[tuple[str, ...]] = ("classifier",)
    made_elsewhere: ClassVar[bool] = True
    program: ClassVar[str] = "read_maps"
    rule: ClassVar[str] = "given_maps"
    memory_mb: ClassVar[int] = 4000
    uses_gpu: ClassVar[bool] = False

    method: Literal["given"] = "given"
    folder: str = user_folder(
        "With `<image>.npz`, as `numpy.savez` writes it: an array of floats [h, w] from 0 to 1 for "
        "each tag of the image, by its name, all of one size. Other arrays are not read."
    )
    learned_from: tuple[Literal[SOURCES], ...] = Field(
        ("tags",), description="The supervision that the maps were made with."
    )
    stride: int = Field(
        4,
        ge=1,
        le=32,
        description="Image pixels per stored map pixel. Larger maps are averaged; smaller ones "
        "stay as they are.",
    )

    @property
    def learns_from(self) -> tuple[str, ...]:
        """What the maps were made with."""
        return self.learned_from


class Bbam(Maps):
    """The smallest part of an image by which a detector finds an object (BBAM; CVPR 2021).

    A mask for each box, of which the maps of an image's classes are the maximum. The defaults are
    the paper's, and its public code's where the paper is silent. To explain detections instead, it
    has `sparsity: 0.07` and `smoothness: 0.001`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021bbam",)

    takes: ClassVar[tuple[str, ...]] = ("detector",)
    learns_from: ClassVar[tuple[str, ...]] = ("boxes",)
    program: ClassVar[str] = "localize_objects"
    analyses: ClassVar[tuple[str, ...]] = ("heads",)
    resumes: ClassVar[bool] = True
    memory_mb: ClassVar[int] = 24000
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
        "It changes what a cell is, and so what `sparsity` means.",
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
        description="Objects, of images of like size, that are optimised together; limits memory.",
    )

    @property
    def offers(self) -> frozenset[str]:
        """A map of each object beside those of the classes."""
        return frozenset({"a_map_of_each_object"})


METHODS = {
    "cam": Cam,
    "amn": AmnMaps,
    "pcm": Pcm,
    "lpcam": Lpcam,
    "gradcam": GradCam,
    "ficklenet": FickleNetMaps,
    "mctformer": MctFormerMaps,
    "saliency": Saliency,
    "smoothgrad": SmoothGrad,
    "binarymask": BinaryMask,
    "randompatch": RandomPatch,
    "discpatch": DiscPatch,
    "randomcrop": RandomCrop,
    "disccrop": DiscCrop,
    "advcam": AdvCam,
    "rib": Rib,
    "mean": MeanMaps,
    "given": GivenMaps,
    "bbam": Bbam,
    "clip_es": ClipEs,
}
