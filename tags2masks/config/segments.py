"""Segments of images, of no class: one block per source."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Entry, InFolder, free, user_folder


class Felzenszwalb(Entry):
    """Superpixels of Felzenszwalb & Huttenlocher (IJCV 2004), which do not overlap."""

    cites: ClassVar[tuple[str, ...]] = ("felzenszwalb2004superpixel",)

    method: Literal["felzenszwalb"] = "felzenszwalb"
    scale: float = Field(100, gt=0, description="Larger: larger superpixels.")
    sigma: float = Field(0.5, ge=0, description="Smoothing of the image beforehand, in pixels.")
    min_size: int = Field(50, ge=1, description="Smallest superpixel, in pixels.")
    batch_size: int = free(64, ge=1, description="Images in memory at a time.")


class GivenSegments(InFolder):
    """Segments from elsewhere: a folder with a file for each image."""

    method: Literal["given"] = "given"
    folder: str = user_folder(
        "With `<image>.png` (grey or with a palette; equal values above 0 are a segment), "
        "`<image>.npz` (one array: integers [H, W] likewise, or [n, H, W], true where each segment "
        "is) or `<image>.json` (a list, or a list `annotations`, of objects with a `segmentation` "
        "as COCO has it, such as SAM's public code writes)."
    )
    label_free: bool = Field(
        False,
        description="true: what made them learned from no masks. false: the supervision of what "
        "uses them includes `segments`.",
    )

    @property
    def learns_from(self) -> tuple[str, ...]:
        """Networks that make such segments, as SAM does, have seen masks of objects."""
        return () if self.label_free else ("segments",)


class Sam2(InFolder):
    """Segments of SAM 2 (Ravi et al., ICLR 2025), asked at a grid of points.

    Needs `pip install 'tags2masks[sam]'`.
    """

    cites: ClassVar[tuple[str, ...]] = ("ravi2025sam2",)
    learns_from: ClassVar[tuple[str, ...]] = ("segments",)
    resumes: ClassVar[bool] = True
    memory_mb: ClassVar[int] = 16000
    minutes: ClassVar[int] = 720
    uses_gpu: ClassVar[bool] = True

    method: Literal["sam2"] = "sam2"
    folder: str = user_folder(
        "Of the model in the form of the library transformers: config.json, model.safetensors, "
        "preprocessor_config.json."
    )
    points: int = Field(32, ge=1, description="Points of the grid along each side of the image.")
    crops: int = Field(0, ge=0, description="Also look at 4, 16, … crops: so many times finer.")
    min_iou: float = Field(
        0.88, ge=0, le=1, description="Leave out segments of which SAM expects a lower IoU."
    )
    min_stability: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Leave out segments that change more where their logits' threshold does: IoU.",
    )
    points_per_pass: int = free(64, ge=1, description="Points that are asked at a time.")


METHODS = {"felzenszwalb": Felzenszwalb, "given": GivenSegments, "sam2": Sam2}
