"""Pseudo-masks from maps: one block per method."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from tags2masks.config.affinity import IrnTraining, PsaTraining
from tags2masks.config.base import Entry, added, free
from tags2masks.config.chains import ChainPath, chain_ending_in
from tags2masks.config.crf import Bilateral, DenseCrf, LabelCrf
from tags2masks.config.guided import Guided, maps_of_objects
from tags2masks.config.inference import Inference
from tags2masks.config.scores import (
    BackgroundScore,
    ChosenScore,
    Levels,
    background_score,
    power_of,
)
from tags2masks.config.segments import Felzenszwalb, GivenSegments, Sam2
from tags2masks.config.walks import IrnFields, IrnWalk, PsaFields, PsaWalk


class Masks(Entry):
    """Base class of mask methods."""

    has_curve: ClassVar[bool] = False  # whether it has `scores`, measured at every background score
    reads_images: ClassVar[bool] = True  # whether an image's pixels matter, or its size alone

    def at_score(self, record: dict) -> Self:
        """The block with the chosen score of `score.json` in the place of `auto`."""
        return self.model_copy(update={"background_score": record["background_score"]})


class Threshold(Masks):
    """Background wherever no class scores above a constant."""

    reads_images: ClassVar[bool] = False

    method: Literal["threshold"] = "threshold"
    background_score: BackgroundScore = background_score()


class Crf(LabelCrf, Masks):
    """Dense conditional random field on the thresholded maps."""

    method: Literal["crf"] = "crf"
    background_score: BackgroundScore = background_score()
    batch_size: int = free(64, ge=1, description="Images in memory at a time.")


class Confident(Guided, Levels, LabelCrf, Masks):
    """Labels where two CRFs, of a high and a low background score, agree; 255 elsewhere."""

    cites: ClassVar[tuple[str, ...]] = ("ahn2019irn", "krahenbuhl2011crf")

    method: Literal["confident"] = "confident"
    foreground_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="A class is certain where it scores above this; null, with `background_score: "
        "auto`: as its area has it.",
    )
    background_score: BackgroundScore = Field(
        "auto",
        description="Background is certain where no class scores above this; auto: a score is "
        "chosen without masks, and the two levels lie around it, by the areas above them.",
    )
    batch_size: int = free(64, ge=1, description="Images in memory at a time.")

    @model_validator(mode="before")
    @classmethod
    def _of_classes(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not _known(values) >= {"saliency", "foreground_score"}:
            return values
        given = values.get("background_score")
        if isinstance(given, int | float) and given != values["foreground_score"]:
            raise ValueError(
                "background_score: the saliency tells the background; leave background_score out"
            )
        return values | {"background_score": values["foreground_score"]}

    @model_validator(mode="after")
    def _both(self):
        if isinstance(self.background_score, Entry):
            if self.foreground_score is not None:
                raise ValueError(
                    "foreground_score is a number and background_score is auto; give both as "
                    "numbers, or neither"
                )
        elif self.foreground_score is None:
            raise ValueError(
                "background_score is a number and foreground_score is not; give both as numbers, "
                "or neither"
            )
        elif self.background_score > self.foreground_score:
            raise ValueError("background_score is the lower of the two")
        return self

    def at_score(self, record: dict) -> Self:
        """The block with two levels around the chosen score."""
        upper, lower = self.levels(record)
        return self.model_copy(update={"foreground_score": upper, "background_score": lower})


class Agreed(Guided, Levels, DenseCrf, Masks):
    """Labels where two CRFs, of a weak and a strong background map, agree; 255 elsewhere."""

    cites: ClassVar[tuple[str, ...]] = ("ahn2018psa", "krahenbuhl2011crf")

    method: Literal["agreed"] = "agreed"
    low_power: float | None = Field(
        None,
        gt=0,
        description="Background map (1 − highest score)^low_power, for certain classes; the "
        "paper's is 4. null: as `background_score` has it.",
    )
    high_power: float | None = Field(
        None,
        gt=0,
        description="The same exponent for certain background; the paper's is 32, SEAM's 24.",
    )
    background_score: ChosenScore = Field(
        "auto",
        description="auto: a score is chosen without masks, and the powers make the background map "
        "equal to a class's at levels around it, by the areas above them. null: powers are given.",
    )
    bilateral: Bilateral = Bilateral(sxy=80, srgb=13, compat=10)
    keep_probabilities: bool = added(
        False,
        description="Also store the probabilities of both CRFs, a byte per pixel and label; "
        "needed by `affinity.cell_labels: mean`.",
    )
    batch_size: int = free(64, ge=1, description="Images in memory at a time.")

    @model_validator(mode="before")
    @classmethod
    def _powers_first(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not {"low_power", "high_power"} & _known(values):
            return values
        alone = "saliency" in _known(values) and "high_power" not in _known(values)
        low = {"high_power": values.get("low_power")} if alone else {}
        return values | {"background_score": None} | low

    @model_validator(mode="after")
    def _ordered(self):
        if (self.low_power is None) != (self.high_power is None):
            raise ValueError("low_power and high_power: give both, or neither")
        if self.low_power is None and self.background_score is None:
            raise ValueError("background_score: null needs low_power and high_power")
        if self.low_power is not None and self.low_power > self.high_power:
            raise ValueError("low_power is the lower of the two")
        return self

    def at_score(self, record: dict) -> Self:
        """The block with the powers of two levels around the chosen score."""
        low, high = map(power_of, self.levels(record))
        return self.model_copy(update={"low_power": low, "high_power": high})


def _known(values: dict) -> set[str]:
    """The names of the values that are not null."""
    return {name for name, value in values.items() if value is not None}


class Walked(Masks):
    """Maps after a random walk along affinities, thresholded.

    The walk is an artifact of its own, made of the block's fields that are those of `derived`.
    """

    crf: LabelCrf | None = Field(None, description="A CRF on the masks; null: none.")

    @property
    def reads_images(self) -> bool:
        """Only the CRF looks at images."""
        return self.crf is not None

    @property
    def walk(self) -> Entry:
        """The walk's block."""
        block = self.derived["walk"]
        return block.model_validate({name: getattr(self, name) for name in block.model_fields})

    def key(self) -> dict[str, Any]:
        """The fields that are part of the masks' id; those of the walk are in `walk` alone."""
        walk = self.walk.key()
        shared = {"method", "instances"}
        own = {name: v for name, v in super().key().items() if name in shared or name not in walk}
        return own | {"walk": walk}


class Irn(IrnFields, Walked):
    """Maps spread by a random walk up to the boundaries of an inter-pixel relation network."""

    derived: ClassVar[dict[str, type[Entry]]] = {"walk": IrnWalk}

    method: Literal["irn"] = "irn"
    labels: Confident = Confident()
    affinity: IrnTraining = IrnTraining()
    background_score: BackgroundScore = background_score("walked maps")

    @property
    def has_curve(self) -> bool:
        """Only without a CRF are masks the thresholded scores."""
        return self.crf is None

    @property
    def offers(self) -> frozenset[str]:
        """Instances, if they are told apart."""
        return frozenset({"instances"} if self.instances else ())

    @model_validator(mode="after")
    def _has_centres(self):
        if self.instances and not self.affinity.displacement:
            raise ValueError(
                "instances are told apart by displacements: set affinity.displacement to true, or "
                "instances to false"
            )
        return self


class Full(Masks):
    """The true masks of the training images that the data set's `labelled` names.

    With all masks the reference for weak supervision, with a few masks a baseline.
    """

    takes: ClassVar[tuple[str, ...]] = ("dataset",)
    learns_from: ClassVar[tuple[str, ...]] = ("masks",)
    program: ClassVar[str] = "read_masks"

    method: Literal["full"] = "full"


class Smooth(Masks):
    """Maps smoothed by a Gaussian, then thresholded (Maruf et al., 2023, appendix B.3.2)."""

    cites: ClassVar[tuple[str, ...]] = ("maruf2023saliency",)

    has_curve: ClassVar[bool] = True
    reads_images: ClassVar[bool] = False

    method: Literal["smooth"] = "smooth"
    background_score: BackgroundScore = background_score()
    kernel: int = Field(13, ge=1, description="Side of the filter in pixels; odd.")
    sigma: float = Field(5, gt=0, description="Standard deviation in pixels.")

    @field_validator("kernel")
    @classmethod
    def _odd(cls, value):
        if value % 2 == 0:
            raise ValueError(f"{value} has no middle; use an odd number")
        return value


class Superpixel(Masks):
    """Mean scores of Felzenszwalb's superpixels, thresholded (Maruf et al., 2023, B.3.3)."""

    cites: ClassVar[tuple[str, ...]] = ("maruf2023saliency", "felzenszwalb2004superpixel")

    has_curve: ClassVar[bool] = True

    method: Literal["superpixel"] = "superpixel"
    background_score: BackgroundScore = background_score()
    scale: float = Field(100, gt=0, description="Larger: larger superpixels.")
    sigma: float = Field(0.5, ge=0, description="Smoothing of the image beforehand, in pixels.")
    min_size: int = Field(50, ge=1, description="Smallest superpixel, in pixels.")


class Psa(PsaFields, Walked):
    """Maps and a background map spread along the affinities of AffinityNet."""

    derived: ClassVar[dict[str, type[Entry]]] = {"walk": PsaWalk}

    method: Literal["psa"] = "psa"
    labels: Agreed = Agreed(keep_probabilities=True)
    affinity: PsaTraining = PsaTraining()

    @model_validator(mode="after")
    def _has_probabilities(self):
        if self.affinity.cell_labels == "mean" and not self.labels.keep_probabilities:
            raise ValueError(
                "affinity.cell_labels: mean needs labels.keep_probabilities: true; set that, or "
                "cell_labels to middle"
            )
        return self


class Predicted(Masks):
    """The predictions of another chain's segmenter on the training images (self-training)."""

    takes: ClassVar[tuple[str, ...]] = ("dataset",)
    learns_from: ClassVar[tuple[str, ...]] = ("tags",)
    program: ClassVar[str] = "predict_masks"
    memory_mb: ClassVar[int] = 12000
    uses_gpu: ClassVar[bool] = True

    method: Literal["predicted"] = "predicted"
    of: ChainPath = chain_ending_in(
        "segmenter",
        description="The chain that ends in the segmenter, without the data set, such as "
        "`vanilla/cam/crf/deeplabv3plus`.",
    )
    tags: bool = Field(
        True,
        description="Only the background and the classes that the image is tagged with; their "
        "probabilities then sum to 1.",
    )
    confidence: float = Field(
        0, ge=0, lt=1, description="Pixels whose highest probability is below it are ignored (255)."
    )
    inference: Inference = Field(Inference(), description="How the segmenter is applied.")


class SaliencyCut(Masks):
    """The best class where it beats the background that a chain's maps of objects leave."""

    cites: ClassVar[tuple[str, ...]] = ("david2023pnoc", "wu2021edam")

    reads_images: ClassVar[bool] = False

    method: Literal["saliency_cut"] = "saliency_cut"
    saliency: ChainPath = maps_of_objects()
    background: Literal["complement", "cut"] = Field(
        "complement",
        description="complement: background scores 1 − saliency, as P-NOC's table 3 has it; cut: "
        "1 where nothing is salient, else 0, as in EDAM's public code.",
    )
    saliency_score: float = Field(
        20 / 255, ge=0, le=1, description="With cut: something is salient where it is above this."
    )
    peak: float = Field(
        0.99999,
        gt=0,
        le=1,
        description="With cut: a class that scores above this share of its highest pixel stands "
        "where nothing is salient.",
    )
    least: float = Field(
        1e-6, ge=0, lt=1, description="With cut: a class that scores below this is background."
    )


class AnyPass(Masks):
    """FickleNet's rule: a class where any random pass scores above a constant, else 255.

    Background is only where `saliency` says so. It follows maps of method `ficklenet`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2019ficklenet",)

    needs: ClassVar[tuple[str, ...]] = ("passes",)
    reads_images: ClassVar[bool] = False

    method: Literal["any_pass"] = "any_pass"
    score: float = Field(
        0.35,
        ge=0,
        lt=1,
        description="θ: a class is where the map of any pass, over its maximum, is above this.",
    )
    saliency: ChainPath | None = chain_ending_in(
        "objectness",
        default=None,
        description="The chain of the maps of objects, without the data set, such as `c2am_h`: "
        "where no class is and nothing is salient there is background. null: no background at all.",
    )
    saliency_score: float = Field(
        0.1, ge=0, le=1, description="An object is salient where its map is above it."
    )


class SaliencyCheck(Masks):
    """The masks that it follows, without the pixels where they and maps of objects disagree."""

    cites: ClassVar[tuple[str, ...]] = ("lee2021rib",)

    takes: ClassVar[tuple[str, ...]] = ("masks",)
    program: ClassVar[str] = "check_masks"

    method: Literal["saliency_check"] = "saliency_check"
    saliency: ChainPath = maps_of_objects()
    saliency_score: float = Field(
        0.5, ge=0, le=1, description="An object is salient where its map is above it."
    )


class Segments(Masks):
    """The masks that it follows, made of whole segments of the image (SEPL; Chen et al., 2023)."""

    cites: ClassVar[tuple[str, ...]] = ("chen2023sepl",)

    takes: ClassVar[tuple[str, ...]] = ("masks",)
    program: ClassVar[str] = "refine_by_segments"
    reads_images: ClassVar[bool] = False

    method: Literal["segments"] = "segments"
    segments: Felzenszwalb | GivenSegments | Sam2 = Field(
        Felzenszwalb(),
        discriminator="method",
        description="An artifact of its own. method: `felzenszwalb` (superpixels, the default), "
        "`given` (a folder), or `sam2` (SAM 2 by the library transformers).",
    )
    segment_share: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="A segment takes its class if this is more than this share of the segment.",
    )
    region_share: float | None = Field(
        0.85,
        gt=0,
        le=1,
        description="It also does if it has at least this share of all pixels of the class; null: "
        "then it does not.",
    )


class Vote(Masks):
    """What most of several chains' masks say of a pixel; 255 where as many say something else."""

    takes: ClassVar[tuple[str, ...]] = ("dataset",)
    program: ClassVar[str] = "vote_masks"

    method: Literal["vote"] = "vote"
    of: Annotated[tuple[ChainPath, ...], Field(min_length=2)] = chain_ending_in(
        "masks",
        description="The chains, without the data set, such as `[vanilla/cam/crf, "
        "vanilla/lpcam/irn]`.",
    )


class Semantic(Masks):
    """The classes of instances: an instance in the box of another covers it."""

    cites: ClassVar[tuple[str, ...]] = ("lee2021bbam",)

    takes: ClassVar[tuple[str, ...]] = ("instances",)
    program: ClassVar[str] = "merge_instances"
    reads_images: ClassVar[bool] = False

    method: Literal["semantic"] = "semantic"


METHODS = {
    "threshold": Threshold,
    "crf": Crf,
    "smooth": Smooth,
    "superpixel": Superpixel,
    "confident": Confident,
    "agreed": Agreed,
    "irn": Irn,
    "psa": Psa,
    "full": Full,
    "predicted": Predicted,
    "any_pass": AnyPass,
    "saliency_check": SaliencyCheck,
    "saliency_cut": SaliencyCut,
    "segments": Segments,
    "semantic": Semantic,
    "vote": Vote,
}
