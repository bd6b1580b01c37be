"""Masks of objects of any class: one block per method."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Entry, free
from tags2masks.config.crf import LabelCrf


class ObjectCrf(LabelCrf, Entry):
    """A dense conditional random field on thresholded objectness."""

    memory_mb: ClassVar[int] = 4000

    method: Literal["crf"] = "crf"
    score: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Objects are where the map is above it; P-NOC's public code has 0.2.",
    )
    batch_size: int = free(64, ge=1, description="Images in memory at a time.")


METHODS = {"crf": ObjectCrf}
