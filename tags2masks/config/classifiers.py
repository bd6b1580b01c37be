"""Image classifiers learned from tags: one block per method."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from tags2masks.config.base import Entry, added
from tags2masks.config.clip import Clip
from tags2masks.config.features import Pooled
from tags2masks.config.hosts import Amn, Edam, FickleNet, MctFormer
from tags2masks.config.ood import Ranked
from tags2masks.config.tag_training import TagAugment, TagTraining
from tags2masks.config.training import Backbone, Optimizer, Ramp
from tags2masks.user_tables import kept_digest


class Vanilla(TagTraining):
    """A backbone, global average pooling and a linear head.

    With `backbone: {freeze: true}` the head alone is trained, on features that are stored once: of
    the whole image at the mean of the training sizes, and mirrored if `augment.flip` is not 0. They
    are an artifact of their own.
    """

    cites: ClassVar[tuple[str, ...]] = ("zhou2016cam",)
    derived: ClassVar[dict[str, type[Entry]]] = {"features": Pooled}

    method: Literal["vanilla"] = "vanilla"
    epochs: int = Field(5, ge=1)
    optimizer: Optimizer = Optimizer(momentum=1e-4)

    @model_validator(mode="after")
    def _frozen(self):
        if not self.backbone.freeze:
            return self
        if self.backbone.weights is None:
            raise ValueError(
                "backbone.weights: null, but backbone.freeze is true, so they would stay random; "
                "name a file, or 'pretrained'"
            )
        views = self.augment
        for name, used in (
            ("randaugment", views.randaugment),
            ("jitter", any(views.jitter)),
            ("perturb", views.perturb),
        ):
            if used:
                raise ValueError(
                    f"augment.{name}: with backbone.freeze an image has one view, as it is; leave "
                    "one of the two out"
                )
        return self

    @property
    def features(self) -> Pooled | None:
        """The block of the stored features; None if the backbone is trained."""
        if not self.backbone.freeze:
            return None
        views = self.augment
        return Pooled(
            backbone=self.backbone.model_copy(update={"freeze": False}),
            side=sum(views.resize) // 2,
            crop=views.crop,
            square=views.square,
            mirror=views.flip > 0,
            precision=self.precision,
        )

    def key(self) -> dict[str, Any]:
        """As for all blocks, with that of the features, if they are stored."""
        return super().key() | ({"features": self.features.key()} if self.features else {})


class PnocTraining(TagTraining):
    """The setting of the P-NOC paper (section 4, A.1.1)."""

    epochs: int = Field(15, ge=1)
    batch_size: int = Field(32, ge=1, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer(momentum=1e-4, poly_power=1)
    augment: TagAugment = TagAugment(resize=(256, 1024))


class Puzzle(PnocTraining):
    """Puzzle-CAM: maps of an image and of its quarters agree (Jo & Yu, ICIP 2021)."""

    cites: ClassVar[tuple[str, ...]] = ("jo2021puzzle",)

    method: Literal["puzzle"] = "puzzle"
    freeze_bn: bool = Field(
        False,
        description="Keep the backbone's batch norm in evaluation mode. In the public code it is "
        "in training mode; if it is fixed, the re loss shrinks the maps (docs/fidelity.md).",
    )
    lambda_re: Ramp = Ramp(start=0, end=4, until=0.5)
    re_classes: Literal["all", "tagged"] = Field(
        "tagged",
        description="Classes whose maps must agree. tagged, as in the public code: the difference "
        "of other classes counts as 0; the mean is over all classes in either case. all: the "
        "papers' formula, whose loss is several times as large.",
    )

    @model_validator(mode="after")
    def _tiles(self):
        stride = self.backbone.cell
        if self.augment.crop % (2 * stride):
            below = self.augment.crop // (2 * stride) * 2 * stride
            source = "its patches" if self.backbone.patch else "backbone.output_stride"
            raise ValueError(
                f"augment.crop: {self.augment.crop} makes no four quarters of whole cells of "
                f"{stride} pixels ({source}); take a multiple of {2 * stride}, such "
                f"as {max(below, 2 * stride)}"
            )
        return self


class Occse(PnocTraining):
    """OC-CSE: erasing a class hides it from an ordinary classifier (Kweon et al., ICCV 2021)."""

    cites: ClassVar[tuple[str, ...]] = ("kweon2021occse",)

    method: Literal["occse"] = "occse"
    ordinary: str = Field(
        "vanilla", description="The entry of `classifiers` that classifies the erased images."
    )
    lambda_cse: Ramp = Ramp(start=0.3, end=1)
    erase_max: Literal["batch", "image"] = Field(
        "batch",
        description="The maximum that divides the erasing map: over the images of a step (of one "
        "process), as in the public code, or of each image. The paper does not say.",
    )


class Poc(Puzzle, Occse):
    """P-OC: Puzzle-CAM and OC-CSE together (P-NOC paper, eq. 1)."""

    cites: ClassVar[tuple[str, ...]] = ("david2023pnoc", "jo2021puzzle", "kweon2021occse")

    method: Literal["poc"] = "poc"


class Pnoc(Poc):
    """P-NOC: P-OC whose ordinary classifier is trained on erased images (eq. 2 and 3)."""

    cites: ClassVar[tuple[str, ...]] = ("david2023pnoc", "jo2021puzzle", "kweon2021occse")

    further_outputs: ClassVar[dict[str, str]] = {"noc": "noc.safetensors"}

    method: Literal["pnoc"] = "pnoc"
    lambda_noc: Ramp = Field(
        Ramp(start=0, end=1), description="The public code's default ends at 0.5."
    )
    delta_noc: Ramp = Ramp(start=0.2, end=0.2)
    k_noc: int = Field(
        1,
        ge=1,
        description="Train the ordinary classifier at every k-th step. The paper gives no number; "
        "the public code's default is 1.",
    )

    @property
    def offers(self) -> frozenset[str]:
        """It has a second network, the not-so-ordinary classifier."""
        return frozenset({"noc"})


def _shallow_first(taps: tuple[int, int]) -> tuple[int, int]:
    if not taps[0] > taps[1] >= 1:
        raise ValueError("taps are two stages counted from the last, 1, the shallower one first")
    return taps


Taps = Annotated[tuple[int, int], AfterValidator(_shallow_first)]


class SeamTraining(TagTraining):
    """SEAM's setting, with two scales and refined maps."""

    backbone: Backbone = Backbone(name="resnet38d", output_stride=8)
    epochs: int = Field(8, ge=1)
    batch_size: int = Field(8, ge=1, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer(momentum=5e-4, weight_decay=5e-4)
    augment: TagAugment = TagAugment(resize=(448, 768), crop=448)
    scale: float = Field(0.3, gt=0, lt=1, description="Scale of the second, smaller image.")
    taps: Taps = Field(
        (3, 2),
        description="Stages of the backbone whose features PCM compares, counted from the last, 1; "
        "in resnet38d 3 and 2 are conv4 and conv5.",
    )
    dropout: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Channel dropout before the head. From the public code; not in the paper.",
    )


class Seam(SeamTraining):
    """SEAM: maps of an image and of a smaller one agree (Wang et al., CVPR 2020)."""

    cites: ClassVar[tuple[str, ...]] = ("wang2020seam",)

    method: Literal["seam"] = "seam"
    ecr_share: float = Field(
        0.2, gt=0, le=1, description="Share of the differences, the largest ones, in ECR."
    )
    min_weight: float = Field(
        1, ge=0, description="Weight of the loss on the lowest cells; only in the public code."
    )
    min_share: float = Field(0.25, gt=0, le=1, description="Share of the cells in that loss.")

    @property
    def offers(self) -> frozenset[str]:
        """It has a pixel correlation module, which refines maps."""
        return frozenset({"pixel_correlation"})


class Sampling(SeamTraining):
    """Importance sampling and feature similarity (Jonnarth et al.), on SEAM or a plain network."""

    cites: ClassVar[tuple[str, ...]] = ("jonnarth2022sampling",)

    method: Literal["sampling"] = "sampling"
    host: Literal["seam", "plain"] = Field(
        "seam", description="plain: no second scale and no refined maps; scale and taps are unused."
    )
    normalization: Literal["softmax", "sigmoid"] = added(
        "softmax",
        description="How logits become maps. softmax: over the classes and the background (eq. 1). "
        "sigmoid: of each class, the background being 1 − the highest class, as in the paper's "
        "table 5, whose rows have one loss each (`similarity_weight: 0` or `lambda_sampled: 0`).",
    )
    pooling: Literal["gap", "gmp"] = Field(
        "gap", description="The pooled prediction: mean logit (gap) or highest probability (gmp)."
    )
    lambda_sampled: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Weight of the drawn cells. The paper: 1 with gmp, 0.9 on COCO.",
    )
    samples: int = Field(1, ge=1, description="Cells drawn per class. The public code: 100.")
    refined_pooling: Literal["gap", "gmp"] | None = Field(
        None, description="Also classify refined maps, with this pooling. The public code: gmp."
    )
    similarity_weight: float = Field(1, ge=0, description="Weight of the feature similarity loss.")
    similarity_mean: Literal["pairs", "cells"] = Field(
        "pairs",
        description="Divisor of eq. 9. pairs: (HW)²; cells: HW as in the public code, which makes "
        "the loss HW times larger.",
    )
    equivariance_weight: float = Field(
        1,
        ge=0,
        description="Weight of ER and ECR, on seam. Paper: 1. With five classes 1 made all maps "
        "constant in the first epoch, 0.3 did not (docs/results.md).",
    )
    sigma: float = Field(5, gt=0, description="Initial σ of the spatial Gaussian, in cells.")
    mu: float = Field(2.5, description="Initial μ, the bias in eq. 12.")
    window: int = Field(15, ge=2, description="Leave out pairs of cells at this distance or more.")

    @property
    def offers(self) -> frozenset[str]:
        """With `host: seam` it has a pixel correlation module."""
        return frozenset({"pixel_correlation"} if self.host == "seam" else ())


# Candidates that are used without a person's answers (the thesis's table 4.6).
UNPRUNED = ("all", "random", "erased")


class Wood(Seam):
    """W-OoD: out-of-distribution images teach what does not belong to a class (CVPR 2022).

    A further training of the ordinary classifier, plain or SEAM.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2022wood",)

    learns_from: ClassVar[tuple[str, ...]] = ("tags", "ood")
    further_outputs: ClassVar[dict[str, str]] = {"warnings": "warnings.csv"}

    method: Literal["wood"] = "wood"
    backbone: Backbone = Backbone()
    epochs: int = Field(5, ge=1)
    batch_size: int = Field(
        16, ge=1, description="Tagged images per step, over all GPUs, and as many others."
    )
    optimizer: Optimizer = Optimizer(lr=0.1, momentum=1e-4)
    augment: TagAugment = TagAugment()
    ordinary: str = Field(
        "vanilla",
        description="The entry of `classifiers` that ranks the candidates, that the centres are "
        "computed with, and that the training starts from. Its backbone has the same name and "
        "args.",
    )
    initial: Literal["ordinary", "backbone"] = Field(
        "ordinary",
        description="Initial weights: those of the ordinary classifier, as in the public code, or "
        "those of `backbone.weights`.",
    )
    host: Literal["vanilla", "seam"] = Field(
        "vanilla",
        description="The losses on tagged images. vanilla: scale, taps, dropout, ecr_share, "
        "min_weight and min_share are unused. seam: take backbone, optimizer, augment, batch_size "
        "and epochs as of `seam`.",
    )
    ood: Ranked = Ranked()
    keep: str = Field(
        min_length=1,
        description="The table that a person saves from review.html, with the columns image, "
        "class, score and keep (yes, no or blank): images of yes are used. Without the file the "
        "run stops when the page is made. Its answers, not its name, are in the id. Or without a "
        "person: `all` ranked candidates; `random` candidates, as many as are ranked; `erased`, "
        "all ranked ones without the CAM of their class.",
    )
    ood_images: int | None = Field(
        None, ge=1, description="Use this number of these images, drawn at random; null: all."
    )
    erase_score: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="With `keep: erased`, fill pixels whose CAM is above this share of its maximum "
        "with the mean colour. The paper gives no number.",
    )
    clustering: Literal["kmeans", "predicted"] = Field(
        "kmeans",
        description="Clusters of the out-of-distribution images. predicted: one for each class, of "
        "the images that the ordinary classifier takes for it.",
    )
    clusters: int = Field(50, ge=1, description="K, the number of clusters of kmeans.")
    closest: float = Field(
        0.2, gt=0, le=1, description="τ: the share of the clusters that images are kept away from."
    )
    selection: Literal["image", "batch"] = Field(
        "image",
        description="The closest clusters of each image, as in the paper, or the smallest of all "
        "distances of a batch, as in the public code.",
    )
    distance_weight: float = Field(
        0.007,
        ge=0,
        description="λ, the weight of the distance loss. The published number goes with "
        "`distance_mean: clusters`; with `sum` and 50 clusters the same weight is 1.4e-4.",
    )
    distance_mean: Literal["clusters", "sum"] = Field(
        "clusters",
        description="sum: eq. 4.2 of the thesis. clusters: divided by the number of clusters, as "
        "in the public code.",
    )
    distance_in: float = Field(
        1, ge=0, description="Factor of the distances to the centres of an image's own classes."
    )
    distance_ood: float = Field(
        1, ge=0, description="Factor of the distances to out-of-distribution clusters."
    )
    ood_weight: float = Field(
        1,
        ge=0,
        description="Weight of the classification loss on out-of-distribution images, which have "
        "no class. The public code: 0.25.",
    )
    climb: float = Field(
        0,
        ge=0,
        description="Before that loss, move these images one step towards their highest logit, "
        "this far at most, in units of the channels' deviations. In the public code alone: 0.07.",
    )

    @property
    def candidates(self) -> str | None:
        """The data set of the candidates, as `Ranked`."""
        return self.ood.candidates

    @property
    def keep_table(self) -> Path | None:
        """The person's table; None without one."""
        return None if self.keep in UNPRUNED else Path(self.keep)

    @property
    def offers(self) -> frozenset[str]:
        """With `host: seam` it has a pixel correlation module."""
        return frozenset({"pixel_correlation"} if self.host == "seam" else ())

    def key(self) -> dict[str, Any]:
        """As for all blocks, but without the name of the person's table."""
        return super().key() | ({"keep": "table"} if self.keep_table else {})

    def tables_read(self) -> dict[str, str]:
        """The digest of the person's answers."""
        return {"keep": kept_digest(self.keep_table)} if self.keep_table else {}

    def modules(self) -> list[str]:
        """The module of SEAM's losses, where they are the host."""
        return ["classifiers.wood_seam"] if self.host == "seam" else []


METHODS = {
    "vanilla": Vanilla,
    "ficklenet": FickleNet,
    "puzzle": Puzzle,
    "occse": Occse,
    "poc": Poc,
    "pnoc": Pnoc,
    "seam": Seam,
    "sampling": Sampling,
    "wood": Wood,
    "amn": Amn,
    "mctformer": MctFormer,
    "edam": Edam,
    "clip": Clip,
}
