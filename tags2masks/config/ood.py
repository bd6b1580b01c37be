"""Candidates for out-of-distribution images: one block per way to rank them."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Entry, free


class Ranked(Entry):
    """Candidates that the ordinary classifier takes for a class, with a page to prune them."""

    cites: ClassVar[tuple[str, ...]] = ("lee2022wood",)

    learns_from: ClassVar[tuple[str, ...]] = ("tags", "ood")
    further_outputs: ClassVar[dict[str, str]] = {"spec": "spec.json", "review": "review.html"}
    memory_mb: ClassVar[int] = 12000
    minutes: ClassVar[int] = 240
    uses_gpu: ClassVar[bool] = True

    method: Literal["ranked"] = "ranked"
    candidates: str | None = Field(
        None,
        description="The entry of `datasets` with the candidates: its images of split ood, and of "
        "split train without a tag that is one of the classes. null: the images of split ood of "
        "the experiment's own data set.",
    )
    min_score: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Keep candidates that the ordinary classifier gives this probability of a "
        "class, or more.",
    )
    per_class: int | None = Field(
        None,
        ge=1,
        description="Keep at most this number of candidates of each class, the highest scores; "
        "null: all. review.html takes some 20 kB for each.",
    )
    thumbnail: int = free(
        320, ge=32, le=2048, description="Longer side of the images in review.html, in pixels."
    )


METHODS = {"ranked": Ranked}
