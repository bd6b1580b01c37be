"""Folders of images with a table of tags, whole or cut into tiles."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from tags2masks.config.base import free
from tags2masks.config.dataset_base import ClassNames, Photographs
from tags2masks.config.mask_values import MaskValues, check_mask_values, mask_values_field
from tags2masks.config.tiles import Tiles
from tags2masks.user_tables import (
    SPLITS,
    box_rows,
    row_id,
    rows_digest,
    split_of,
    tag_rows,
    tags_by_split,
)


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
