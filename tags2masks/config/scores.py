"""A background score chosen without masks: one block per method."""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationError

from tags2masks.config.base import Block, Entry, added, free


class Separation(Entry):
    """The score whose foreground differs most from the background in colour and in features."""

    learns_from: ClassVar[tuple[str, ...]] = ("tags",)
    memory_mb: ClassVar[int] = 6000
    minutes: ClassVar[int] = 30
    uses_gpu: ClassVar[bool] = True

    method: Literal["separation"] = "separation"
    images: int = Field(
        100, ge=1, description="Tagged training images to choose it from, evenly spaced."
    )
    batch_size: int = free(8, ge=1, description="Images of like size per forward pass.")


class FewMasks(Entry):
    """The score of the highest mean IoU on the images that the data set's `labelled` names."""

    takes: ClassVar[tuple[str, ...]] = ("maps",)
    learns_from: ClassVar[tuple[str, ...]] = ("tags", "masks")
    program: ClassVar[str] = "choose_by_masks"

    method: Literal["few_masks"] = "few_masks"


METHODS = {"separation": Separation, "few_masks": FewMasks}


def _number_or_auto(value: Any) -> Any:
    """`auto` stands for `separation` with its defaults; a mapping is a method's block."""
    if value == "auto":
        return Separation()
    if isinstance(value, dict):
        method = value.get("method", "separation")
        if method not in METHODS:
            raise ValueError(f"unknown method '{method}'; choose from {', '.join(METHODS)}")
        try:
            return METHODS[method].model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if isinstance(value, tuple(METHODS.values())):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no score; write a number from 0 to 1, or auto")
    return float(value)


BackgroundScore = Annotated[
    float | Literal["auto"] | Separation | FewMasks, BeforeValidator(_number_or_auto)
]


def _auto(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError(f"{value!r} is a number; write auto, or null")
    return None if value is None else _number_or_auto(value)


ChosenScore = Annotated[Separation | FewMasks | None, BeforeValidator(_auto)]


class Levels(Block):
    """Two levels around a chosen score, by the areas above them. The shares are ours."""

    foreground_area: float = added(
        0.75,
        gt=0,
        le=1,
        description="With `background_score: auto`, the area where a class is certain, as a share "
        "of the area above the chosen score.",
    )
    background_area: float = added(
        1.5, ge=1, description="The same of the area outside which background is certain."
    )

    def levels(self, record: dict) -> tuple[float, float]:
        """The upper and the lower level; record: `score.json`."""
        return level(record, self.foreground_area), level(record, self.background_area)


def level(record: dict, area: float) -> float:
    """The score above which lie `area` times as many pixels as above the chosen one.

    record: `score.json`, with the share of pixels above each of some scores (`areas`). Between
    these scores it is interpolated.
    """
    import numpy as np  # not at parse time, which every job of a cluster pays

    scores, shares = record["areas"]["score"], record["areas"]["share"]
    wanted = min(1, area * np.interp(record["background_score"], scores, shares))
    return float(np.interp(wanted, shares[::-1], scores[::-1]))


def power_of(score: float) -> float:
    """The exponent p at which the background map (1 − s)^p equals a class's score s.

    Scores below 0.01 or above 0.99 count as these.
    """
    score = min(max(score, 0.01), 0.99)
    return math.log(score) / math.log(1 - score)


def background_score(what: str = "maps") -> Any:
    """The field of a block: a number, or `auto`; what: what the score is chosen for."""
    return Field(
        "auto",
        description=f"Score of the background, 0 to 1; auto: chosen without masks, for the {what} "
        "of each experiment, by the separation of foreground and background in colour and in the "
        "classifier's features; {method: few_masks}: by the masks of the images "
        "that the data set's `labelled` names (docs/methods.md).",
    )
