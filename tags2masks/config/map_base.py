"""What the blocks of map methods share."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Entry, free
from tags2masks.config.training import Precision

# Gradients in fp16 would need a loss scale.
GradientPrecision = Literal["32-true", "bf16-mixed"]
PER_PASS = (
    "Images of equal size per forward pass; on a CPU fewer, if they have more than 800,000 pixels."
)
StepMap = Literal["normalized", "raw"]
Scales = Annotated[tuple[Annotated[float, Field(gt=0, le=4)], ...], Field(min_length=1)]


class Maps(Entry):
    """Options that all map methods have."""

    learns_from: ClassVar[tuple[str, ...]] = ("tags",)  # only an image's tags are localized
    memory_mb: ClassVar[int] = 12000
    uses_gpu: ClassVar[bool] = True
    folds: ClassVar[bool] = True  # the network stays as it is: batch norm may be folded
    analyses: ClassVar[tuple[str, ...]] = ()  # of `evaluation`, that are of how these maps are made

    images: int | None = Field(
        None,
        ge=1,
        description="Localize only this number of training images, evenly spaced, to try a slow "
        "method; null: all. With a number the experiment must end at its maps or, of a detector's "
        "maps, at the instances that are made of them.",
    )


class MultiScale(Maps):
    """Options of methods that sum maps over several scales of the image."""

    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also use the mirrored image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(16, ge=1, description=PER_PASS)
