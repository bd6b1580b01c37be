"""COCO, and data sets in its format."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import free
from tags2masks.config.dataset_base import ClassNames, Photographs
from tags2masks.user_tables import holds_regions


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
