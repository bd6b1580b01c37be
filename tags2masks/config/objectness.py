"""Where there is an object, of any class: one block per method."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Entry, InFolder, free, user_folder
from tags2masks.config.map_base import Scales
from tags2masks.config.object_masks import ObjectCrf
from tags2masks.config.saliency_networks import C2am, C2amH, Refined
from tags2masks.config.training import Precision


class Objectness(Entry):
    """Base class: a map per image, 1 for objects and 0 for the background."""

    score: float = free(
        0.5,
        ge=0,
        le=1,
        description="Its figures are told at this score, and at the best one. What uses the maps "
        "has a score of its own.",
    )


class Applied(Objectness):
    """Options of maps that a trained network gives."""

    memory_mb: ClassVar[int] = 12000
    uses_gpu: ClassVar[bool] = True

    scales: Scales = Field((1.0,), description="Sizes relative to the image.")
    flip: bool = Field(False, description="Also the mirrored image.")
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(8, ge=1, description="Images of equal size per forward pass.")


class Contrasted(Applied):
    """Options of C²AM's maps: logits, summed over scales and flips, over their maximum."""

    scales: Scales = Field((0.5, 1.0, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also the mirrored image.")
    score: float = free(0.3, ge=0, le=1, description=Objectness.model_fields["score"].description)


class C2amMaps(Contrasted):
    """Objects by contrast of foregrounds and backgrounds, without labels (CVPR 2022)."""

    cites: ClassVar[tuple[str, ...]] = ("xie2022c2am",)

    method: Literal["c2am"] = "c2am"
    network: C2am = C2am()
    inverted: Literal["negated", "complement"] = Field(
        "negated",
        description="The map where the network found the background: −logit, or 1 − logit as in "
        "the public code.",
    )


class C2amHMaps(Contrasted):
    """C²AM with hints from a chain's maps (P-NOC; David et al., 2023)."""

    cites: ClassVar[tuple[str, ...]] = ("david2023pnoc", "xie2022c2am")

    method: Literal["c2am_h"] = "c2am_h"
    network: C2amH = Field(description="Its `hints` have no default.")


class RefinedMaps(Applied):
    """Objects by a saliency network that learned from the masks of what it follows."""

    cites: ClassVar[tuple[str, ...]] = ("david2023pnoc", "liu2019poolnet")
    takes: ClassVar[tuple[str, ...]] = ("objectness",)
    for_parts: ClassVar[tuple[str, ...]] = ("objectness",)

    method: Literal["refined"] = "refined"
    masks: ObjectCrf = ObjectCrf()
    network: Refined = Refined()


class Given(InFolder, Objectness):
    """Maps from elsewhere: a folder with an image file, `<image>.png`, for each image."""

    program: ClassVar[str] = "read_objects"

    method: Literal["given"] = "given"
    folder: str = user_folder(
        "The folder. Maps have the images' sizes; of grey images 255 is an object."
    )
    label_free: bool = Field(
        False,
        description="true: whoever made the maps learned from no masks. false: the supervision of "
        "what uses them includes `saliency`.",
    )
    stride: int = Field(4, ge=1, le=32, description="Image pixels averaged into a map pixel.")

    @property
    def learns_from(self) -> tuple[str, ...]:
        """Networks that made such maps have most often seen masks of objects."""
        return () if self.label_free else ("saliency",)


METHODS = {"c2am": C2amMaps, "c2am_h": C2amHMaps, "refined": RefinedMaps, "given": Given}
