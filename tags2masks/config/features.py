"""Features of training images by a backbone that is not trained: one block per kind of them."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Entry
from tags2masks.config.training import Backbone, Precision


class Pooled(Entry):
    """The mean of the last features over each image, seen whole, and mirrored.

    Made of fields of the training that uses them.
    """

    memory_mb: ClassVar[int] = 8000
    minutes: ClassVar[int] = 240
    uses_gpu: ClassVar[bool] = True

    method: Literal["pooled"] = "pooled"
    backbone: Backbone = Backbone()
    side: int = Field(480, ge=8, description="Long side of the image in the view, in pixels.")
    crop: int = Field(512, ge=8, description="Side of the view, which is padded.")
    square: bool = Field(False, description="Whether the image is resized to a square.")
    mirror: bool = Field(True, description="Whether the mirrored view has features too.")
    precision: Precision = Field("32-true", description="Autocast of the backbone.")


METHODS = {"pooled": Pooled}
