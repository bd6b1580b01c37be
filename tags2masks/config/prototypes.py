"""Local prototypes of the classes: one block per method."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Entry, added, free


class Prototypes(Entry):
    """Cluster centres of each class's local features; an artifact of their own."""

    cites: ClassVar[tuple[str, ...]] = ("chen2023lpcam",)

    learns_from: ClassVar[tuple[str, ...]] = ("tags",)
    memory_mb: ClassVar[int] = 12000
    minutes: ClassVar[int] = 120
    uses_gpu: ClassVar[bool] = True

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
    tol: float | None = added(
        None,
        gt=0,
        description="K-Means as in the public code, whose value is 5: features are told apart by "
        "cosine, centres are means of features as they are, and it ends when the sum of the "
        "centres' ways, squared, is below this. null: K-Means of unit features to its end.",
    )
    batch_size: int = free(16, ge=1, description="Images of like size per forward pass.")


METHODS = {"kmeans": Prototypes}
