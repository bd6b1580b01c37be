"""What the blocks of all kinds of data sets share."""

from collections.abc import Callable
from functools import partial
from itertools import chain
from os.path import relpath
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from tags2masks.config.base import Block, free
from tags2masks.config.mask_values import COLOUR
from tags2masks.user_tables import SPLITS

MOST_CLASSES = 253
"""Masks are uint8: 0 is background, 255 ignored, 254 is reserved for invalid ids."""

WHITE = "#ffffff"


def _alpha(value: Any) -> Any:
    text = str(value).strip().lower()
    if text != "ignore" and not COLOUR.fullmatch(text):
        raise ValueError(f'{value!r} is no colour; write "#rrggbb" in quotes, or ignore')
    return text


Alpha = Annotated[str, BeforeValidator(_alpha)]
Band = Annotated[int, Field(ge=0)]
Inwards = Annotated[float, Field(ge=0, lt=0.5)]
Outwards = Annotated[float, Field(ge=0, le=1)]


def can_be_tag(name: str) -> bool:
    """Whether a class of this name can be in a table of tags."""
    return bool(name) and ";" not in name and name == name.strip() and name.isprintable()


def _can_be_tags(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not can_be_tag(name):
            raise ValueError(f"{name!r} cannot be a tag (a blank at its end, or ;); rename it")
    return names


ClassNames = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_can_be_tags)]


class Dataset(Block):
    """Options that all kinds have, and the paths that rules and programs need.

    `own` is the folder of the data set's results.
    """

    title: ClassVar[str]
    """The name of the kind in the report."""
    tagged: ClassVar[bool] = True
    """Whether its images have tags to learn from. Without, all are of split ood."""
    has_boxes: ClassVar[bool] = False
    """Whether the reader gives a box for every object."""
    has_lists: ClassVar[bool] = False
    """Whether `labelled` may name a list of images; the reader then has `labelled_images`."""
    makes_images: ClassVar[bool] = False
    """Whether the reader writes the images, into own/images."""
    makes_masks: ClassVar[bool] = False
    """Whether the reader writes the masks, into folders of `own`."""
    memory_mb: ClassVar[int] = 2000
    minutes: ClassVar[int] = 60
    """Resources of a cluster job that lists the images or their masks."""
    mask_options: ClassVar[tuple[str, ...]] = ()
    """The free fields that change how masks are read."""

    shards: int = free(
        1,
        ge=1,
        le=1000,
        description="Number of files, and of cluster jobs, of each per-image stage; aim at about "
        "2,500 images each.",
    )
    evaluate_on: Literal["train", "val"] = free(
        "val",
        description="Split that the segmentation model is evaluated on; a change trains nothing.",
    )
    labelled: int | float | tuple[str, ...] | Literal["all"] | str | None = free(
        None,
        description="Training images whose masks methods may learn from: a number, a share "
        "(between 0 and 1), a list of names, all, or of kind `voc` also the name of an image list, "
        "such as train: its images that are trained on. Numbers of images are chosen class by "
        "class in a random order, so a smaller number gives a subset of a larger one. In the id "
        "of artifacts that learn from masks.",
    )
    box_noise: tuple[Inwards, Outwards] | None = free(
        None,
        description="Noise of the training boxes, to see what careless boxes cost: each side moves "
        "at random, inwards and outwards by up to these shares of the box's width or height, such "
        "as [0.15, 0.15]; null: none. Boxes of val, and true masks and instances, stay as they "
        "are. In the id of artifacts that learn from boxes.",
    )

    @property
    def has_truth(self) -> bool:
        """Whether pixel masks exist for evaluation."""
        return True

    @property
    def has_instances(self) -> bool:
        """Whether true instances exist for evaluation; its reader then has `true_instances`."""
        return False

    @property
    def reading(self) -> dict:
        """The options for reading images that are not at their defaults: `bands`, `alpha`."""
        return {}

    @property
    def offers_masks(self) -> bool:
        """Whether there are masks to learn from, for the images that `labelled` names."""
        return self.has_truth

    @property
    def tables_root(self) -> str | None:
        """The folder to which paths of `index_files` are made relative in descriptions."""
        return getattr(self, "root", None)

    def index_files(self, split: str) -> list[str]:
        """The files that list the images of a split and their tags."""
        return []

    @property
    def offers_boxes(self) -> bool:
        """Whether there are boxes to learn from."""
        return self.has_boxes

    def box_files(self, split: str) -> list[str]:
        """The tables with the boxes of a split; not files with the boxes of one image."""
        return []

    def mask_files(self, split: str) -> list[str]:
        """The tables from which the masks of a split are drawn; not masks in files of their own."""
        return []

    def labelled_files(self) -> list[str]:
        """The tables from which labelled.csv is made."""
        return self.mask_files("train")

    def truth_files(self) -> list[str]:
        """The tables from which truth.csv is made."""
        return [*self.mask_files("train"), *self.mask_files("val")]

    def all_files(self) -> list[str]:
        """All of these tables, each once."""
        files = [self.index_files(split) for split in SPLITS]
        files += [self.box_files("train"), self.box_files("val")]
        files += [self.labelled_files(), self.truth_files()]
        return list(dict.fromkeys(chain(*files)))

    def read_from(self, table: str, digest: Callable[[str], str]) -> dict[str, str]:
        """Digests of the files behind one of our tables, by path below `tables_root` or by name.

        table: a split, `boxes`, `val-boxes`, `labelled` or `truth`; digest: the digest of a file.
        """
        files = {
            "boxes": partial(self.box_files, "train"),
            "val-boxes": partial(self.box_files, "val"),
            "labelled": self.labelled_files,
            "truth": self.truth_files,
        }.get(table, partial(self.index_files, table))
        root = self.tables_root
        return {relpath(path, root) if root else Path(path).name: digest(path) for path in files()}

    def image_root(self, own: str) -> str:
        """The folder that paths in the index are relative to."""
        return own

    def truth_root(self, own: str) -> str:
        """The folder that paths of masks are relative to; only if `has_truth`."""
        return own

    def truth_key(self) -> dict:
        """What determines the masks that are read: the key and `mask_options`, as plain values."""
        return self.key() | self._mask_options()

    def labelled_key(self) -> dict:
        """What determines the masks to learn from, beside the key: which, and how they are read."""
        return self.model_dump(mode="json", include={"labelled"}) | self._mask_options()

    def boxes_key(self) -> dict:
        """What determines the boxes to learn from, beside the key."""
        return {} if self.box_noise is None else {"box_noise": list(self.box_noise)}

    def _mask_options(self) -> dict:
        """The `mask_options` that are not null."""
        return self.model_dump(mode="json", include=set(self.mask_options), exclude_none=True)

    @field_validator("labelled", mode="before")
    @classmethod
    def _some_images(cls, value: Any) -> Any:
        whole = type(value) is int and value >= 1
        share = type(value) is float and 0 < value < 1
        names = isinstance(value, list | tuple) and value and all(type(n) is str for n in value)
        a_list = cls.has_lists and isinstance(value, str) and value
        if value not in (None, "all") and not (whole or share or names or a_list):
            raise ValueError(
                f"{value!r} is no number of images, no share between 0 and 1, no list of names and "
                "not all"
            )
        return value

    @model_validator(mode="after")
    def _noise_of_some_boxes(self):
        if self.box_noise is not None and not self.offers_boxes:
            raise ValueError("box_noise: this data set has no boxes; leave it out")
        return self

    @model_validator(mode="after")
    def _distinct_classes(self):
        check_names("classes", getattr(self, "classes", None) or ())
        return self


def check_names(field: str, names: tuple[str, ...]) -> None:
    """Raise ValueError for duplicate names, and for names with another meaning in the tables."""
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"{field} are listed twice: {', '.join(doubled)}")
    for name in filter(is_taken, names):
        raise ValueError(f"'{name}' means something else in the tables; rename this class")


def is_taken(name: str) -> bool:
    """Whether this name has another meaning in the tables, so that no class can have it."""
    return name.casefold() in ("background", "mean")


def refuse_others(classes: tuple[str, ...], known: tuple[str, ...]) -> None:
    if unknown := [name for name in classes if name not in known]:
        raise ValueError(f"unknown class '{unknown[0]}'; choose from {', '.join(known)}")


class Photographs(Dataset):
    """Kinds whose images are the user's files."""

    bands: tuple[Band, Band, Band] | None = Field(
        None,
        description="Bands of the image files to use as red, green and blue, counted from 0, "
        "such as [3, 0, 1]; null: as the files say. In the id, unless null.",
    )
    alpha: Alpha = Field(
        WHITE,
        description='Background colour of transparent pixels, as "#rrggbb"; `ignore`: read all '
        "pixels as opaque. In the id, unless it is white.",
    )

    @property
    def reading(self) -> dict:
        """`bands` and `alpha` where they are not the defaults."""
        defaults = {"bands": None, "alpha": WHITE}
        return {name: value for name, value in self if defaults.get(name, value) != value}

    def key(self) -> dict[str, Any]:
        """As for all kinds, but without `bands` and `alpha` at their defaults: ids predate them."""
        values = super().key()
        for name in {"bands", "alpha"} - set(self.reading):
            del values[name]
        return values
