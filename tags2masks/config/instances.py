"""Objects one by one, each with a box and a mask: one block per method."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Entry, free
from tags2masks.config.crf import DenseCrf


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


class Full(Instances):
    """The true instances of the training images that the data set's `labelled` names.

    The reference for weak supervision; for data sets that have true instances.
    """

    learns_from: ClassVar[tuple[str, ...]] = ("masks",)
    program: ClassVar[str] = "read_instances"
    rule: ClassVar[str] = "full_instances"  # `full` is that of the masks

    method: Literal["full"] = "full"


METHODS = {"boxfill": BoxFill, "boxcrf": BoxCrf, "full": Full}
