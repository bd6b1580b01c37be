"""What all classifiers have that learn from tags: their random views, and labels."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from tags2masks.config.base import free
from tags2masks.config.training import Augment, Training


class TagAugment(Augment):
    """Random views for learning from tags, where objects may move and colours may change."""

    randaugment: int = Field(
        0, ge=0, description="Operations of RandAugment on each image; 0: none. P-NOC's code: 2."
    )
    magnitude: int = Field(9, ge=0, le=30, description="Their strength. P-NOC's code: 10.")
    jitter: tuple[float, float, float, float] = Field(
        (0, 0, 0, 0),
        description="Random change of brightness, contrast, saturation (shares of 1) and hue (of a "
        "full turn, up to 0.5). P-NOC's code: [0.3, 0.3, 0.3, 0.1].",
    )
    perturb: Literal["gaussian", "binary"] | None = Field(
        None, description="gaussian: add noise to every value; binary: set pixels to black."
    )
    sigma: float = Field(
        0.15, ge=0, description="Standard deviation of the noise, for values in 0 to 1."
    )
    keep: float = Field(0.9, gt=0, le=1, description="Probability that a pixel is kept.")

    @field_validator("jitter")
    @classmethod
    def _within(cls, value):
        if min(value) < 0 or value[3] > 0.5:
            raise ValueError("jitter is four numbers of 0 or more, the last (hue) 0.5 at most")
        return value


class TagTraining(Training):
    """Options that all classifiers have."""

    learns_from: ClassVar[tuple[str, ...]] = ("tags",)

    augment: TagAugment = TagAugment()
    validate_every: int = free(
        1, ge=1, description="Measure val's mAP every so many epochs, and after the last."
    )
    label_smoothing: float = Field(
        0, ge=0, lt=1, description="a in the target y·(1 − a) + a/2. P-NOC's code: 0.1."
    )
