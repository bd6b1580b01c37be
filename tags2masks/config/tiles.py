"""Tiles of huge images."""

from pydantic import Field, model_validator

from tags2masks.config.base import Block


class Tiles(Block):
    """Overlapping squares that cover an image; smaller images are one tile."""

    size: int = Field(512, ge=32, description="Side of a tile, pixels.")
    overlap: int = Field(64, ge=0, description="Pixels that a tile shares with the next, at least.")

    @model_validator(mode="after")
    def _moves_on(self):
        if self.overlap > self.size // 2:
            raise ValueError(f"overlap: {self.overlap} is more than half of size, {self.size}")
        return self
