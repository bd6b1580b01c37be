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


class Prototypes(Block):
    """Cluster centres of each class's local features; an artifact of their own."""

    method: Literal["kmeans"] = "kmeans"
    clusters: int = Field(
        12, ge=1, description="Centres of a class, and as many of its context; 20 for COCO."
    )
    foreground_score: float = Field(
        0.1,
        gt=0,
        le=1,
        description="A feature is the class's where CAM is this or more (τ); 0.25 for COCO.",
    )
    min_class_score: float = Field(
        0.9,
        ge=0,
        le=1,
        description="A class centre is kept above this confidence (μ_f); if none is, the best.",
    )
    max_context_score: float = Field(
        0.9,
        ge=0,
        le=1,
        description="A context centre is kept below this confidence (μ_b); 0.5 for COCO.",
    )
    min_context_score: float = Field(
        0, ge=0, le=1, description="And from this one on; the public code has 0.05."
    )
    images: int | None = Field(
        None,
        ge=1,
        description="At most so many images of a class, by chance; null: all. 100 for COCO.",
    )
    samples: int = Field(
        20000,
        ge=1,
        description="At most so many features of a class, and of its context, by "
        "chance: 160 MB each with 2,048 channels.",
    )
    iterations: int = Field(100, ge=1, description="The most that K-Means takes.")
    batch_size: int = free(16, ge=1, description="Images of like size per forward pass.")


class Lpcam(Block):
    """Local prototype CAM (Chen & Sun, CVPR 2023)."""

    method: Literal["lpcam"] = "lpcam"
    prototypes: Prototypes = Prototypes()
    context: bool = Field(
        True, description="Subtract the likeness to the context; false is the paper's LPCAM-F."
    )
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="Sizes relative to the image.")
    flip: bool = Field(True, description="Also look at the mirrored image.")
    flip_features: bool = Field(
        False,
        description="Add the mirrored image's features before they are compared, as the "
        "public code does; false: add the maps, as of CAM.",
    )
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: Precision = Field("32-true", description="Autocast during inference.")
    batch_size: int = free(16, ge=1, description="Images of like size per forward pass.")


METHODS = {"cam": Cam, "lpcam": Lpcam}
