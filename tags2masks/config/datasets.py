"""Data sets: where the images are, which classes count, and what evaluation may read.

A kind of data set is a block here, registered in `KINDS`, and a reader `data/<kind>.py`.
"""

import operator
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from tags2masks.config.base import added, free
from tags2masks.config.dataset_base import (
    MOST_CLASSES,
    ClassNames,
    Dataset,
    Photographs,
    check_names,
    refuse_others,
)
from tags2masks.config.mask_values import MaskValues, check_mask_values, mask_values_field
from tags2masks.config.pools import OpenImages, Untagged
from tags2masks.config.tiles import Tiles
from tags2masks.user_tables import (
    SPLITS,
    box_rows,
    holds_regions,
    names_masks,
    row_id,
    rows_digest,
    split_of,
    tag_rows,
    tags_by_split,
)

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# For each split, the published files of images and labels, without .gz.
MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "val": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip


class Digits(Dataset):
    """Embedded: real handwritten digits on photographed textures, with exact masks and boxes."""

    cites: ClassVar[tuple[str, ...]] = ("alpaydin1998digits",)

    title: ClassVar[str] = "embedded digits"
    has_boxes: ClassVar[bool] = True
    makes_images: ClassVar[bool] = True
    makes_masks: ClassVar[bool] = True

    kind: Literal["digits"] = "digits"
    classes: ClassNames = Field(
        ("zero", "one", "two", "three", "four"),
        description="Digits to place, by their English names.",
    )
    train: int = Field(1200, ge=1, description="Training scenes.")
    val: int = Field(300, ge=0, description="Evaluation scenes.")
    ood: int = Field(60, ge=0, description="Bare textures, without a digit or tag.")
    size: int = Field(64, ge=24, le=1024, description="Side of a scene, pixels.")
    digit_size: tuple[int, int] = Field((18, 33), description="Smallest and largest digit, pixels.")
    most_digits: int = Field(3, ge=1, le=9, description="A scene holds one to this many digits.")
    favourite: float = Field(
        0.9,
        ge=0,
        le=1,
        description="Probability that the background is the favourite texture of the first "
        "digit's class.",
    )

    @property
    def has_instances(self) -> bool:
        """Every digit is one."""
        return True

    @model_validator(mode="after")
    def _placeable(self):
        refuse_others(self.classes, DIGIT_NAMES)
        low, high = self.digit_size
        if not 8 <= low <= high <= self.size:
            raise ValueError(f"digit_size must lie in 8 to size ({self.size}), smallest first")
        return self


class Folder(Photographs):
    """A folder of images and a table of tags."""

    title: ClassVar[str] = "folder of images"
    mask_options: ClassVar[tuple[str, ...]] = ("mask_values",)

    kind: Literal["folder"] = "folder"
    images: str = free(description="Folder of the images.")
    tags: str = free(
        description="CSV table with the columns image, tags (separated by ';') and split."
    )
    masks: str | None = free(
        None,
        description="Folder of PNG masks named like the images, for evaluation only. Values: "
        "0 background, 1 the first of classes, …, 255 ignored, or as `mask_values` say.",
    )
    mask_values: MaskValues | None = mask_values_field("classes")
    boxes: str | None = free(
        None,
        description="CSV table of boxes to learn from, with the columns image, class, x1, y1, x2, "
        "y2 and optionally difficult (0 or 1), in whole pixels from 0, both corners inclusive.",
    )
    classes: ClassNames | None = Field(
        None, description="Class names in mask order; null: the tags in alphabetical order."
    )

    @property
    def has_truth(self) -> bool:
        """Whether pixel masks exist for evaluation."""
        return self.masks is not None

    @property
    def offers_boxes(self) -> bool:
        """Whether a table of boxes is named."""
        return self.boxes is not None

    def index_files(self, split: str) -> list[str]:
        """The table of tags."""
        return [self.tags]

    def box_files(self, split: str) -> list[str]:
        """The table of boxes."""
        return [] if self.boxes is None else [self.boxes]

    def read_from(self, table: str, digest: Callable[[str], str]) -> dict[str, str]:
        """Digests of a split's rows, in any order; for train also of the names of all tags.

        A row with an unknown split counts as val, whose listing then reports it.
        Raises UserError for files that are not valid tables.
        """
        if table in ("labelled", "truth"):
            return {}
        if table in SPLITS:
            rows, names = tags_by_split(Path(self.tags))
            classes = {"classes": names} if table == "train" and self.classes is None else {}
            return {"tags": rows[table]} | classes
        splits = {row_id(row): split_of(row) for _, row in tag_rows(Path(self.tags))}
        wanted = "val" if table == "val-boxes" else "train"
        rows = (row for _, row in box_rows(Path(self.boxes)))
        # A box of an unknown image counts as train, whose listing then reports it.
        return {
            "boxes": rows_digest(row for row in rows if splits.get(row_id(row), "train") == wanted)
        }

    def image_root(self, own: str) -> str:
        """The folder of the images."""
        return self.images

    def truth_root(self, own: str) -> str:
        """The folder of the masks."""
        return self.masks

    @model_validator(mode="after")
    def _masks_need_an_order(self):
        if self.masks is not None and self.classes is None:
            raise ValueError("masks need classes: list the names in the order of the mask ids")
        if self.mask_values is not None and self.classes is None:
            raise ValueError("mask_values need classes: list the names")
        check_mask_values(self.mask_values, self.classes or ())
        return self


class Tiled(Folder):
    """A folder of huge images and a table of tags: `folder`, cut into overlapping tiles.

    Tiles and their masks are written into results, so that no job decodes a huge image again. Tags
    are of the whole image, and so true of some of its tiles alone: use tiles that mostly show what
    their image is tagged with, or tag the tiles. Every tile is of the split of its image. Figures
    are of tiles, where pixels in overlaps count twice.
    """

    title: ClassVar[str] = "tiles of a folder of images"
    makes_images: ClassVar[bool] = True
    makes_masks: ClassVar[bool] = True
    memory_mb: ClassVar[int] = 8000
    minutes: ClassVar[int] = 180

    kind: Literal["tiled"] = "tiled"
    tiles: Tiles = Field(Tiles(), description="How images are cut.")

    def image_root(self, own: str) -> str:
        """The folder of the results: the tiles are there."""
        return own

    def truth_root(self, own: str) -> str:
        """The folder of the results: the tiles' masks are there."""
        return own


class Voc(Photographs):
    """A PASCAL VOC devkit, or a data set laid out like one; tags come from the XML annotations.

    A list is a name in ImageSets/Segmentation, or a path below `root` that ends in `.txt`. A line
    is an image's name; or a name with 1 or -1 (left out), as in VOC's lists of a class; or the
    paths of image and mask, such as `/JPEGImages/a.jpg /SegmentationClassAug/a.png`. Without masks
    in a list and without a folder SegmentationClass, quality is not measured.
    """

    cites: ClassVar[tuple[str, ...]] = ("everingham2010voc",)

    title: ClassVar[str] = "PASCAL VOC"
    has_boxes: ClassVar[bool] = True
    has_lists: ClassVar[bool] = True
    mask_options: ClassVar[tuple[str, ...]] = ("names", "others", "mask_values")

    kind: Literal["voc"] = "voc"
    root: str = free(description="Folder that holds JPEGImages, Annotations and ImageSets.")
    names: ClassNames = free(
        VOC_CLASSES,
        description="Class names in the order of their mask ids, from 1; list your own if they are "
        "not VOC's. After a change only evaluation runs again.",
    )
    classes: ClassNames = Field(
        VOC_CLASSES,
        description="Classes to learn, by default all `names`; images that show only other objects "
        "are left out.",
    )
    others: Literal["background", "ignore"] = free(
        "background",
        description="What the pixels of classes not chosen count as; only evaluation runs again.",
    )
    mask_values: MaskValues | None = mask_values_field("names")
    train_list: str = Field("train", description="List of the training images.")
    val_list: str = Field("val", description="List of the evaluation images.")
    seed_list: str | None = free(
        None,
        description="List of the training images on which maps and masks are measured; null: all "
        "that have a mask. Published seeds are measured on the 1,464 images of `train`, with "
        "classifiers trained on the 10,582 of `trainaug`: `train_list: trainaug` and `seed_list: "
        "train`. After a change only evaluation runs again.",
    )

    @property
    def has_truth(self) -> bool:
        """Whether there are masks; an absent devkit counts as the published one, with masks."""
        root = Path(self.root)
        if not root.is_dir() or (root / "SegmentationClass").is_dir():
            return True
        files = [*self.index_files("train"), *self.index_files("val")]
        return any(names_masks(Path(path)) for path in files)

    @property
    def has_instances(self) -> bool:
        """Wherever there are masks: from SegmentationObject, or from boxes."""
        return self.has_truth

    def index_files(self, split: str) -> list[str]:
        """The list of the split; only train and val have one."""
        names = {"train": self.train_list, "val": self.val_list}
        return [self._below(self.list_path(names[split]))] if split in names else []

    def truth_files(self) -> list[str]:
        """The list of the training images that are measured, if there is one."""
        return [self._below(self.list_path(self.seed_list))] if self.seed_list else []

    def labelled_files(self) -> list[str]:
        """The list of the training images with masks to learn from, if there is one."""
        named = isinstance(self.labelled, str) and self.labelled != "all"
        return [self._below(self.list_path(self.labelled))] if named else []

    def _below(self, path: str) -> str:
        return str(Path(self.root) / path)

    def truth_key(self) -> dict:
        """As for all kinds, with the list of the training images that are measured."""
        return super().truth_key() | {"seed_list": self.seed_list}

    def list_path(self, name: str) -> str:
        """The file of a list, relative to root."""
        return name if name.endswith(".txt") else f"ImageSets/Segmentation/{name}.txt"

    def image_root(self, own: str) -> str:
        """The devkit."""
        return self.root

    def truth_root(self, own: str) -> str:
        """The devkit."""
        return self.root

    @model_validator(mode="before")
    @classmethod
    def _all_names(cls, values: Any) -> Any:
        if isinstance(values, dict) and "names" in values:
            return {"classes": values["names"]} | values
        return values

    @model_validator(mode="after")
    def _known_classes(self):
        check_names("names", self.names)
        if len(self.names) > MOST_CLASSES:
            raise ValueError(f"{len(self.names)} names, but masks hold {MOST_CLASSES}")
        refuse_others(self.classes, self.names)
        check_mask_values(self.mask_values, self.names)
        return self


class Coco(Photographs):
    """COCO, or a data set in its format; paths are relative to `root`. The default is COCO 2014.

    If no annotation has a segmentation (a file with boxes only), quality is not measured.
    """

    cites: ClassVar[tuple[str, ...]] = ("lin2014coco",)

    title: ClassVar[str] = "COCO"
    has_boxes: ClassVar[bool] = True
    makes_masks: ClassVar[bool] = True
    memory_mb: ClassVar[int] = 6000
    minutes: ClassVar[int] = 180
    mask_options: ClassVar[tuple[str, ...]] = ("others", "crowd")

    kind: Literal["coco"] = "coco"
    root: str = free(description="Folder of the images and of the files of instances.")
    train_annotations: str = Field(
        "annotations/instances_train2014.json", description="Instances of the training images."
    )
    val_annotations: str | None = Field(
        "annotations/instances_val2014.json",
        description="Instances of the evaluation images; may be the same file, split by lists. "
        "null: no evaluation images.",
    )
    train_images: str = Field("train2014", description="Folder of the training images.")
    val_images: str = Field("val2014", description="Folder of the evaluation images.")
    train_list: str | None = Field(
        None, description="File with one name per line: the training images to use; null: all."
    )
    val_list: str | None = Field(None, description="The same for the evaluation images.")
    classes: ClassNames | None = Field(
        None,
        description="Categories to learn; images with none of them are left out. null: all that "
        "training images show, in the order of the file.",
    )
    others: Literal["background", "ignore"] = free(
        "background",
        description="What the pixels of classes not chosen count as; only evaluation runs again.",
    )
    crowd: Literal["class", "ignore"] = free(
        "class",
        description="Regions of crowds. class: pixels of their class, as in the usual conversion "
        "to VOC's format; ignore: not counted. After a change only evaluation runs again.",
    )

    @property
    def has_truth(self) -> bool:
        """Whether an annotation has a segmentation; absent files count as the published ones."""
        names = (self.train_annotations, self.val_annotations)
        return any(holds_regions(Path(self.root) / name) for name in names if name)

    @property
    def has_instances(self) -> bool:
        """Wherever there are masks."""
        return self.has_truth

    def index_files(self, split: str) -> list[str]:
        """The instances file and the list of the split; only train and val have them."""
        names = {
            "train": (self.train_annotations, self.train_list),
            "val": (self.val_annotations, self.val_annotations and self.val_list),
        }.get(split, ())
        return [str(Path(self.root) / name) for name in names if name]

    def box_files(self, split: str) -> list[str]:
        """The same files."""
        return self.index_files(split)

    def mask_files(self, split: str) -> list[str]:
        """The same files."""
        return self.index_files(split)

    def image_root(self, own: str) -> str:
        """The folder of the data set."""
        return self.root


class Mnist(Dataset):
    """MNIST's digits, scaled up; pixels of ink are the truth (Maruf et al., 2023, section 5.1)."""

    cites: ClassVar[tuple[str, ...]] = ("lecun1998mnist",)

    title: ClassVar[str] = "MNIST"
    has_boxes: ClassVar[bool] = True
    makes_images: ClassVar[bool] = True
    makes_masks: ClassVar[bool] = True

    kind: Literal["mnist"] = "mnist"
    root: str = free(description="Folder of the four idx files, gzipped as published or plain.")
    classes: ClassNames = Field(DIGIT_NAMES, description="Digits to take, by their English names.")
    train: int = Field(2000, ge=1, le=60000, description="Training images, from the file's start.")
    val: int = Field(
        500, ge=0, le=10000, description="Evaluation images, from the start of MNIST's test file."
    )
    size: int = Field(
        128, ge=28, le=1024, description="Side of the images after nearest-neighbour upscaling."
    )
    planted: float | None = added(
        None,
        gt=0,
        le=1,
        description="Share of the images that get a shape beside the digit, as in the toy "
        "experiment of Lee's thesis (section 3.4.2): a disc with the first class, a square with "
        "the second. All digits then stand in frames of 40 × 40 pixels; masks of instances tell "
        "digit and shape apart.",
    )

    def index_files(self, split: str) -> list[str]:
        """The files of images and labels of a split, unpacked if they exist, else gzipped."""
        plain = [Path(self.root) / name for name in MNIST_FILES.get(split, ())]
        return [str(path) if path.is_file() else f"{path}.gz" for path in plain]

    @model_validator(mode="after")
    def _known_digits(self):
        refuse_others(self.classes, DIGIT_NAMES)
        if self.planted is not None and len(self.classes) != 2:
            raise ValueError(
                "planted: a shape goes with each of two classes; name two in `classes`"
            )
        return self


KINDS: dict[str, type[Dataset]] = {
    "coco": Coco,
    "digits": Digits,
    "folder": Folder,
    "mnist": Mnist,
    "openimages": OpenImages,
    "tiled": Tiled,
    "untagged": Untagged,
    "voc": Voc,
}

DatasetSpec = Annotated[reduce(operator.or_, KINDS.values()), Field(discriminator="kind")]
