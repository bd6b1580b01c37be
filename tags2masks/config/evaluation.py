"""How quality is measured, and what is looked into besides."""

from typing import Annotated, Literal

from pydantic import Field

from tags2masks.config.analyses import (
    Climbs,
    Gradients,
    Heads,
    Landscape,
    Proposals,
    RegionPictures,
    Untagged,
)
from tags2masks.config.base import Block, Name
from tags2masks.config.scores import BackgroundScore


class Evaluation(Block):
    """How quality is measured; after a change only measuring runs again."""

    background_score: BackgroundScore = Field(
        "auto",
        description="Background score at which maps are reported, 0 to 1; auto: chosen for each "
        "entry of maps without masks, as by masks with `background_score: auto`.",
    )
    thresholds: int = Field(
        100,
        ge=2,
        le=1000,
        description="Maps are measured at n + 1 background scores: 0/n, 1/n, … n/n.",
    )
    regions: bool = Field(
        True,
        description="Measure recall in discriminative and other regions. A plain CAM of "
        "the same classifier defines them: the `cam` of the first experiment that has one, else a "
        "CAM with default options.",
    )

    splits: Annotated[tuple[Literal["train", "val"], ...], Field(min_length=1)] = Field(
        ("train",),
        description="Splits on which maps and masks are measured. With val they are also made for "
        "val's images, from these images' tags (or boxes) as in the papers, only to be measured.",
    )
    epoch_images: int | None = Field(
        None,
        ge=1,
        description="Also measure maps of the classifier after each epoch, on this number of "
        "training images (`epochs.csv`); null: don't. It uses pixel masks, and nothing is chosen "
        "by it. Classifiers need `keep_states: true`.",
    )
    epoch_maps: tuple[Name, ...] | None = Field(
        None,
        min_length=1,
        description="The entries of `maps` that are measured after each epoch; null: all.",
    )
    epoch_features: int | None = Field(
        None,
        ge=1,
        description="For classifiers that learn from out-of-distribution images: show in the "
        "report how the features of tagged images and of these part from epoch to epoch, by t-SNE, "
        "of this number of images of each kind, evenly spaced, such as 200 (`embedding.csv`); "
        "null: don't. No masks are read. The classifiers need `keep_states: true`.",
    )
    gradients: Gradients | None = Field(
        None,
        description="For maps of `rib` on an `mnist` data set with `planted` shapes: the shares of "
        "high gradients by region, at each layer and each step (`gradients.csv`); null: don't.",
    )
    landscape: Landscape | None = Field(
        None,
        description="The loss of every classifier around training images or its weights "
        "(`landscape.csv`); null: don't. No masks are read.",
    )
    climbs: Climbs | None = Field(
        None,
        description="For maps of `advcam`: features of images and along climbs, by t-SNE "
        "(`climbs.csv`); null: don't. No masks are read.",
    )
    untagged: Untagged | None = Field(
        None,
        description="For maps from a classifier: those of classes that an image is not tagged "
        "with, drawn in the report (`untagged.zarr.zip`); null: don't. Nothing else uses them.",
    )
    region_pictures: RegionPictures | None = Field(
        None,
        description="For some maps and with `regions`: draw in the report where an object's pixels "
        "score high or low, in and outside the discriminative region, and their distances from the "
        "thresholds (`regions.csv`); null: don't.",
    )
    heads: Heads | None = Field(
        None,
        description="For some maps of `bbam` on data sets with true instances: where in the "
        "objects each head of the detector looks, and both heads' losses while one is kept "
        "(`head_losses.csv`, `head_places.csv`); null: don't.",
    )
    proposals: Proposals | None = Field(
        None,
        description="For some maps of `boxgrad`: how far gradients of a detector stay inside the "
        "proposals that its predictions are made from (`proposals.csv`), with pictures in the "
        "report (`proposals.zarr.zip`); null: don't. No masks are read.",
    )
