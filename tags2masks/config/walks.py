"""Random walks of maps along affinities: one block per affinity network.

Their fields are also fields of the mask methods that walk (`config.masks.Walked`).
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tags2masks.config.base import Block, Entry, added, free
from tags2masks.config.scores import ChosenScore, power_of


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
    background_power: float | None = Field(
        None,
        gt=0,
        description="α in the background map (1 − highest score)^α; the paper's is 16, SEAM's 6. "
        "null: as `background_score` has it.",
    )
    background: Literal["power", "constant"] = added(
        "power",
        description="The background map that walks beside the classes'. power: (1 − highest "
        "score)^α; constant: one score everywhere, which the walk leaves as it is, as "
        "MCTformer's public code has it, with 0.39.",
    )
    background_constant: float | None = added(
        None,
        ge=0,
        le=1,
        description="The score of `background: constant`. null: as `background_score` has it.",
    )
    background_score: ChosenScore = Field(
        "auto",
        description="auto: a score is chosen without masks, and α is such that the background map "
        "equals a class's there, or it is the constant. null: `background_power` is given, or "
        "`background_constant`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _number_first(cls, values: Any) -> Any:
        numbers = ("background_power", "background_constant")
        given = isinstance(values, dict) and any(values.get(name) is not None for name in numbers)
        return values | {"background_score": None} if given else values

    @model_validator(mode="after")
    def _given_once(self):
        own, other = "background_power", "background_constant"
        if self.background == "constant":
            own, other = other, own
        if getattr(self, other) is not None:
            raise ValueError(f"background: {self.background} has no {other}; set {own}")
        if getattr(self, own) is None and self.background_score is None:
            raise ValueError(f"background_score: null needs {own}")
        return self

    def at_score(self, record: dict) -> Self:
        """The block with the power that belongs to the chosen score, or with it as the constant:
        to the score's power `map_power`, as that of the maps which walk.
        """
        score = record["background_score"] ** self.map_power
        if self.background == "constant":
            return self.model_copy(update={"background_constant": score})
        return self.model_copy(update={"background_power": power_of(score)})


class PsaWalk(PsaFields, WalkEntry):
    """Maps and a background map spread along the affinities of AffinityNet."""

    method: Literal["psa"] = "psa"


METHODS = {"irn": IrnWalk, "psa": PsaWalk}
