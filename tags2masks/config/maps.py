"""Localization: per-class score maps from a classifier, one block per method."""

from typing import Annotated, Literal

from pydantic import Field

from tags2masks.config.base import Block, free
from tags2masks.config.training import Precision

Scales = Annotated[tuple[Annotated[float, Field(gt=0, le=4)], ...], Field(min_length=1)]


class Cam(Block):
    """Class activation maps over scales and flips."""

    method: Literal["cam"] = "cam"
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also look at the mirrored image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(16, ge=1, description="Images of like size per forward pass.")


METHODS = {"cam": Cam}
