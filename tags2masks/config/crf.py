"""Dense conditional random fields: blocks within others."""

from typing import ClassVar

from pydantic import Field

from tags2masks.config.base import Block


# The deviations have lower bounds because pydensecrf stores positions and colours, divided by the
# deviations, in 16 bits, and writes out of bounds where they overflow.
class Gaussian(Block):
    """Pairwise term on position."""

    sxy: float = Field(3, ge=0.5, description="Deviation in pixels.")
    compat: float = Field(3, ge=0, le=1e4)


class Bilateral(Block):
    """Pairwise term on position and colour."""

    sxy: float = Field(50, ge=0.5, description="Deviation in pixels.")
    srgb: float = Field(5, ge=0.1, description="Deviation in colour values, 0 to 255.")
    compat: float = Field(10, ge=0, le=1e4)


class DenseCrf(Block):
    """A dense conditional random field."""

    cites: ClassVar[tuple[str, ...]] = ("krahenbuhl2011crf",)

    iterations: int = Field(10, ge=1)
    gaussian: Gaussian = Gaussian()
    bilateral: Bilateral = Bilateral()


class LabelCrf(DenseCrf):
    """A dense CRF on labels; the defaults are those of IRN's public code."""

    gt_prob: float = Field(0.7, gt=0, lt=1, description="Confidence in the label of a pixel.")
