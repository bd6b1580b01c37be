"""Objects one by one, each with a box and a mask: one block per method."""

from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from tags2masks.config.base import Entry, free
from tags2masks.config.crf import Bilateral, DenseCrf, Gaussian

Share = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Scale = Annotated[float, Field(gt=0)]


class Instances(Entry):
    """Base class."""

    @property
    def offers(self) -> frozenset[str]:
        """Instances, which are measured."""
        return frozenset({"instances"})


class Boxed(Instances):
    """Base class: an instance per box."""

    learns_from: ClassVar[tuple[str, ...]] = ("boxes",)
    reads_images: ClassVar[bool] = True  # whether an image's pixels matter, or its size alone

    difficult: Literal["keep", "leave_out"] = Field(
        "keep", description="Boxes that the data set calls difficult, and crowds."
    )


class BoxFill(Boxed):
    """Every pixel of the box."""

    reads_images: ClassVar[bool] = False

    method: Literal["boxfill"] = "boxfill"


class BoxCrf(DenseCrf, Boxed):
    """A dense conditional random field in each box; outside it is background for certain.

    The CRF's defaults are those of IRN's public code.
    """

    method: Literal["boxcrf"] = "boxcrf"
    foreground: float = Field(
        0.7,
        gt=0,
        lt=1,
        description="Probability, before the CRF, that a pixel of the box is the object's.",
    )
    margin: float = Field(
        0.5,
        ge=0,
        le=10,
        description="How much of the surroundings the CRF sees, on each side, as a share of the "
        "box's side.",
    )
    least: float = Field(
        0.2, ge=0, le=1, description="A mask that covers less of its box is replaced by the box."
    )
    batch_size: int = free(64, ge=1, description="Images in memory at a time.")


class BoxMask(DenseCrf, Boxed):
    """Masks from the map of each object, at two levels: certain, and possible (BBAM; CVPR 2021).

    The thresholds are those of Lee's thesis, all else that of the public code, without proposals.
    The code's thresholds are `thresholds: share` with `foreground: 0.85`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021bbam", "krahenbuhl2011crf")
    takes: ClassVar[tuple[str, ...]] = ("maps",)
    learns_from: ClassVar[tuple[str, ...]] = ()  # the boxes come with the maps
    needs: ClassVar[tuple[str, ...]] = ("a_map_of_each_object",)
    program: ClassVar[str] = "mask_boxes"
    minutes: ClassVar[int] = 360

    method: Literal["boxmask"] = "boxmask"
    thresholds: Literal["value", "share"] = Field(
        "value",
        description="What the two thresholds θ are. value: a pixel is the object's if it is above "
        "θ after the CRF. share: 1 − θ of the box's pixels, those of the highest values, are set "
        "to 1 before the CRF, and a pixel is the object's if it is above `certainty` after it.",
    )
    foreground: Share = Field(0.8, description="θ_fg: the threshold of the certain pixels.")
    background: Share = Field(
        0.2,
        description="θ_bg: the lower threshold, of the possible pixels; the others are background. "
        "Equal thresholds leave nothing in doubt.",
    )
    certainty: Probability = Field(
        0.9,
        description="Probability of the CRF above which a pixel is the object's; with `value`, "
        "only of boxes that were filled.",
    )
    blur: float | None = Field(
        None,
        ge=0,
        description="With `share`: deviation in pixels of the Gaussian blur before the CRF, cut at "
        "one deviation; null: BBAM's stride, 16 + 48 · √(the box's share of the image), which "
        "is for images of some 500 pixels: for small ones set this.",
    )
    gaussian: Gaussian = Gaussian(sxy=1, compat=3)
    bilateral: Bilateral = Bilateral(sxy=80, srgb=3, compat=4)
    margin: float | None = Field(
        None,
        ge=0,
        le=10,
        description="How much of the surroundings the CRF sees, on each side, as a share of the "
        "box's side, which is quicker; null: the whole image, as in the public code.",
    )
    small: Share = Field(
        0.1,
        description="Boxes that cover at most this share of the image: if the mask covers at most "
        "a fifth of one, the box is filled with a probability and refined again. 0: none.",
    )
    fill: Annotated[tuple[Probability, ...], Field(min_length=1)] = Field(
        (0.7, 0.8, 0.9, 0.95, 0.96),
        description="Probabilities to fill a box with, in turn, until the mask covers more than a "
        "third of it; or more than a fifth, for a box of any size whose map is empty.",
    )
    proposals: str | None = Field(
        None,
        description="Folder of MCG's proposals, `<image>.mat` for each image as published, by "
        "which the masks are refined (eq. 5.4). Its name, not where it is, is in the artifact's "
        "id.",
    )
    superpixels: Annotated[tuple[Scale, ...], Field(min_length=1)] | None = Field(
        None,
        description="In the place of MCG's proposals: superpixels of scikit-image (Felzenszwalb & "
        "Huttenlocher, 2004) of these scales, such as [50, 200, 800]; null: none.",
    )
    inside: Share = Field(
        0.95,
        description="Share of a proposal in the mask, for it to be added; of the best in its box.",
    )
    least_area: int = Field(
        1024, ge=0, description="Boxes of fewer pixels are not refined by proposals."
    )
    batch_size: int = free(64, ge=1, description="Images in memory at a time.")

    def cited(self) -> list[str]:
        """Also the papers of what the masks are refined by."""
        more = ["ponttuset2017mcg"] if self.proposals is not None else []
        more += ["felzenszwalb2004superpixel"] if self.superpixels is not None else []
        return [*super().cited(), *more]

    def folders(self) -> dict[str, str]:
        """The folder of proposals, for the program."""
        return {} if self.proposals is None else {"proposals": self.proposals}

    def key(self) -> dict[str, Any]:
        """As for all blocks, but with the name alone of the folder."""
        if self.proposals is None:
            return super().key()
        return super().key() | {"proposals": PurePosixPath(self.proposals.replace("\\", "/")).name}

    @model_validator(mode="after")
    def _two_levels(self):
        if self.background > self.foreground:
            raise ValueError(
                f"background: {self.background:g} is above foreground, {self.foreground:g}; what "
                "is certain must be possible"
            )
        if self.proposals is not None and self.superpixels is not None:
            raise ValueError("superpixels stand in for proposals; give one of them")
        return self


class Full(Instances):
    """The true instances of the training images that the data set's `labelled` names.

    The reference for weak supervision; for data sets that have true instances.
    """

    learns_from: ClassVar[tuple[str, ...]] = ("masks",)
    program: ClassVar[str] = "read_instances"
    rule: ClassVar[str] = "full_instances"  # `full` is that of the masks

    method: Literal["full"] = "full"


METHODS = {"boxfill": BoxFill, "boxcrf": BoxCrf, "boxmask": BoxMask, "full": Full}
