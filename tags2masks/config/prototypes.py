"""Local prototypes of the classes: one block per method."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Entry, added, free


class Prototypes(Entry):
    """Cluster centres of each class's local features; they are an artifact of their own."""

    cites: ClassVar[tuple[str, ...]] = ("chen2023lpcam",)

    learns_from: ClassVar[tuple[str, ...]] = ("tags",)
    memory_mb: ClassVar[int] = 12000
    minutes: ClassVar[int] = 120
    uses_gpu: ClassVar[bool] = True

    method: Literal["kmeans"] = "kmeans"
    clusters: int = Field(
        12, ge=1, description="Number of centres of a class, and of its context; COCO: 20."
    )
    foreground_score: float = Field(
        0.1,
        gt=0,
        le=1,
        description="τ: a feature belongs to the class where CAM is at least this; COCO: 0.25.",
    )
    min_class_score: float = Field(
        0.9,
        ge=0,
        le=1,
        description="μ_f: keep class centres above this confidence; if there are none, the best.",
    )
    max_context_score: float = Field(
        0.9,
        ge=0,
        le=1,
        description="μ_b: keep context centres below this confidence; COCO: 0.5.",
    )
    min_context_score: float = Field(
        0, ge=0, le=1, description="Keep context centres of at least this; public code: 0.05."
    )
    images: int | None = Field(
        None,
        ge=1,
        description="Maximum number of images per class, drawn at random; null: all. COCO: 100.",
    )
    samples: int = Field(
        20000,
        ge=1,
        description="Maximum number of features of a class, and of its context, drawn at random; "
        "160 MB each with 2,048 channels.",
    )
    iterations: int = Field(100, ge=1, description="Maximum number of K-Means iterations.")
    tol: float | None = added(
        None,
        gt=0,
        description="A number (public code: 5): K-Means as in the public code. Features are "
        "assigned by cosine, centres are means of unnormalised features, and it stops when the "
        "squared sum of the centres' movements is below this. null: K-Means of unit features.",
    )
    batch_size: int = free(16, ge=1, description="Images of equal size per forward pass.")


METHODS = {"kmeans": Prototypes}
