"""Random walks of maps along affinities: one block per affinity network.

Their fields are also fields of the mask methods that walk (`config.masks.Walked`).
"""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Block, Entry, free


class Walk(Block):
    """Fields of every walk."""

    scale: float = Field(
        1,
        gt=0,
        le=8,
        description="Scale of the image for the network; above 1 for small images, whose objects "
        "are few cells wide. The training's size is `affinity.augment`.",
    )
    radius: int = Field(5, ge=2, le=64, description="The walk moves to cells nearer than this.")
    beta: float = Field(
        10, gt=0, description="Exponent on affinities; larger keeps scores more local."
    )
    steps: int = Field(256, ge=0, description="Length of the walk (t).")
    map_power: float = Field(
        1,
        gt=0,
        description="Exponent on the maps before the walk; papers' values: docs/methods.md.",
    )
    batch_size: int = free(16, ge=1, description="Images of equal size per forward pass.")


class WalkEntry(Entry):
    """Base class of a walk as an artifact."""

    memory_mb: ClassVar[int] = 8000
    uses_gpu: ClassVar[bool] = True


class IrnFields(Walk):
    """Fields of a walk up to the boundaries of an inter-pixel relation network."""

    cites: ClassVar[tuple[str, ...]] = ("ahn2019irn",)

    flip: bool = Field(True, description="Average the boundaries with the mirrored image's.")
    instances: bool = Field(
        False, description="Separate instances by the displacements' centres, and store them."
    )


class IrnWalk(IrnFields, WalkEntry):
    """Maps spread by a random walk up to the boundaries of an inter-pixel relation network."""

    method: Literal["irn"] = "irn"


class PsaFields(Walk):
    """Fields of a walk along the affinities of AffinityNet."""

    cites: ClassVar[tuple[str, ...]] = ("ahn2018psa",)

    beta: float = Field(
        8, gt=0, description="Exponent on affinities; larger keeps scores more local."
    )
    background_power: float = Field(
        16, gt=0, description="α in the background map (1 − highest score)^α; SEAM: 6."
    )


class PsaWalk(PsaFields, WalkEntry):
    """Maps and a background map spread along the affinities of AffinityNet."""

    method: Literal["psa"] = "psa"


METHODS = {"irn": IrnWalk, "psa": PsaWalk}
