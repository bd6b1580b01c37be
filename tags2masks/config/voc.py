"""PASCAL VOC, and data sets laid out like it."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from tags2masks.config.base import free
from tags2masks.config.dataset_base import (
    MOST_CLASSES,
    ClassNames,
    Photographs,
    check_names,
    refuse_others,
)
from tags2masks.config.mask_values import MaskValues, check_mask_values, mask_values_field
from tags2masks.user_tables import names_masks

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip


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
