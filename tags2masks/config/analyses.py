"""Analyses of trained networks, which only the report shows."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from tags2masks.config.base import Block

# A number of images, or their names.
Images = Annotated[int, Field(ge=1)] | Annotated[tuple[str, ...], Field(min_length=1)]


class Gradients(Block):
    """How much of each region reaches each layer, and the logit at each step of RIB.

    Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), figures 3.11, 3.12.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021rib",)

    images: int = Field(
        100, ge=1, description="Training images with a planted shape, evenly spaced; at most."
    )
    above: float = Field(
        0.3, ge=0, lt=1, description="A gradient is high above this share of the maximum."
    )
    maximum: Literal["own", "first"] = Field(
        "own",
        description="own: of the same gradient map. first: of the map of the image's first layer, "
        "or, over RIB's steps, of the trained network. The thesis does not say.",
    )
    pictures: int = Field(
        3, ge=0, description="Of these images, how many the report draws with their gradients."
    )


class Landscape(Block):
    """The classifier's loss around images, and around its weights.

    Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), figure 3.4; around
    weights Li et al., "Visualizing the Loss Landscape of Neural Nets" (NeurIPS 2018).
    """

    cites: ClassVar[tuple[str, ...]] = ("moosavi2019curvature", "li2018landscape")

    around: Annotated[tuple[Literal["images", "weights"], ...], Field(min_length=1)] = Field(
        ("images",),
        description="images: along the gradient of the loss and a random direction. weights: along "
        "two random directions, whose filters have the norms of the network's.",
    )
    images: int = Field(100, ge=1, description="Training images with tags, evenly spaced.")
    points: int = Field(
        21, ge=3, description="Points of each of the two axes, an odd number: the middle is 0."
    )
    radius: float = Field(
        0.05,
        gt=0,
        description="Of images: root mean square change of the values, 0 to 1, at the ends of an "
        "axis. The thesis does not say.",
    )
    weight_radius: float = Field(
        1, gt=0, description="Of weights: the change's norm at the ends, in norms of each filter."
    )

    @model_validator(mode="after")
    def _odd(self) -> "Landscape":
        if self.points % 2 == 0:
            raise ValueError(f"points: {self.points} is even; write an odd number")
        return self


class RegionPictures(Block):
    """An object's regions of high and low scores, in and outside the discriminative region.

    Maruf et al., "Beyond Discriminative Regions" (2023), figures 1 and 4.
    """

    cites: ClassVar[tuple[str, ...]] = ("maruf2023saliency",)

    maps: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Entries of `maps` beside their classifier's CAM, such as [saliency]."
    )
    images: int = Field(
        3,
        ge=1,
        description="Training images with tags and pixel masks, evenly spaced; of each the class "
        "of the most pixels.",
    )


class Heads(Block):
    """What each head of a detector looks at, by BBAM, and what the other loses meanwhile.

    Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), figure 5.6.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021bbam",)

    maps: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Entries of `maps` of method `bbam`, such as [bbam], with whose options masks "
        "of the objects are made anew for each head."
    )
    split: Literal["train", "val"] = Field("train", description="Of this split.")
    images: int = Field(100, ge=1, description="Images with boxes, evenly spaced.")
    above: float = Field(
        0.9, ge=0, lt=1, description="The places of a mask's values above this are counted."
    )


class Proposals(Block):
    """Gradients of like predictions of an object, made from different proposals.

    Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 5.5 and
    figure 5.8.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021bbam",)

    maps: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Entries of `maps` of method `boxgrad`, such as [boxgrad], whose proposals of "
        "an object are taken one by one."
    )
    split: Literal["train", "val"] = Field("train", description="Of this split.")
    images: int = Field(100, ge=1, description="Images with boxes, evenly spaced.")
    each: int = Field(
        3, ge=1, description="Proposals of an object: the first that are drawn and count."
    )
    above: float = Field(
        0.9,
        ge=0,
        lt=1,
        description="Gradients above this share of the highest are high: are they in the proposal?",
    )
    shown: int = Field(3, ge=0, description="Images of which an object is drawn.")


class Climbs(Block):
    """Features of images and along AdvCAM's climbs, in two dimensions by t-SNE.

    Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), figure 3.9.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2021advcam",)

    classes: Annotated[tuple[str, ...], Field(min_length=2)] = Field(
        description="Two or more classes, such as [bird, cat]."
    )
    images: int = Field(
        200,
        ge=3,
        description="Training images of each class that have no other tag, evenly spaced; those "
        "that the classifier takes for another class are left out.",
    )
    steps: int = Field(20, ge=1, description="Length of the climbs.")


class Untagged(Block):
    """Maps of classes that images are not tagged with, beside those of their tags.

    Chen & Sun, "Extracting Class Activation Maps from Non-Discriminative Features as well" (CVPR
    2023), figure 1.
    """

    cites: ClassVar[tuple[str, ...]] = ("chen2023lpcam",)

    classes: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="The classes that are localized besides an image's tags, such as [car, train]."
    )
    tagged: str | None = Field(
        None, description="Only images with this tag, such as bus; null: with any tag."
    )
    images: Images = Field(
        4,
        description="The images by their names; or a number of training images without a tag of "
        "`classes`, evenly spaced.",
    )

    @model_validator(mode="after")
    def _once(self) -> "Untagged":
        if self.tagged is not None and not isinstance(self.images, int):
            raise ValueError("tagged: the images are named; take out either")
        return self
