"""Deep seeded region growing: labels that grow during the training of a segmenter."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.crf import Bilateral, DenseCrf, Gaussian


class Growing(DenseCrf):
    """Deep seeded region growing (Huang et al., CVPR 2018) instead of plain cross entropy."""

    cites: ClassVar[tuple[str, ...]] = ("huang2018dsrg", "kolesnikov2016sec")

    stride: int = Field(
        8, ge=1, le=32, description="Image pixels per cell; labels grow over cells."
    )
    foreground: float = Field(
        0.99,
        ge=0,
        le=1,
        description="A class grows where its probability is above this. Authors' code: 0.85.",
    )
    background: float = Field(
        0.85,
        ge=0,
        le=1,
        description="Background grows where its probability is above this. Authors' code: 0.99.",
    )
    grow_on: Literal["network", "field"] = Field(
        "network",
        description="Probabilities that labels grow by: the network's, or those of the CRF on "
        "them, as in the authors' code.",
    )
    seeding_weight: float = Field(1, ge=0, description="Weight of the loss on the grown labels.")
    boundary_weight: float = Field(
        1, ge=0, description="Weight of the divergence of the network from the CRF."
    )
    cell: float = Field(12, gt=0, le=100, description="Size of a cell in the CRF, in pixels.")
    gaussian: Gaussian = Gaussian(sxy=3, compat=3)
    bilateral: Bilateral = Bilateral(sxy=80, srgb=13, compat=10)
