"""Image classifiers learned from tags: one block per method."""

from typing import Literal

from pydantic import Field

from tags2masks.config.training import Optimizer, Training


class Vanilla(Training):
    """A backbone, global average pooling and a linear head (methods §0)."""

    method: Literal["vanilla"] = "vanilla"
    epochs: int = Field(5, ge=1)
    optimizer: Optimizer = Optimizer(momentum=1e-4)


METHODS = {"vanilla": Vanilla}
