"""The choice of training images with masks to learn from, a separate source of supervision.

A few images should show every class, and a larger number should include the smaller one. So images
are chosen in one fixed order: the classes take turns, and each takes the next image with its tag.
The random order depends on each image's own name, so that a new image does not move the others.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.data.tables import read_checked, write_table
from tags2masks.data.truth import MaskTable, read_mask
from tags2masks.errors import UserError, raise_together

COLUMNS = ("image", "mask", "instances")

Labelled = int | float | Sequence[str]  # as the config has it; words are for the caller


def label_order(
    images: Sequence[str], tags: Sequence[Sequence[str]], classes: Sequence[str], seed: int
) -> list[str]:
    """All images in the order in which they are chosen; tags: the tags of each image.

    In its turn a class takes its next free image, ordered by a hash of seed and name; a class
    without one is skipped. Images without tags come last.
    """
    pairs = sorted(zip(images, tags, strict=True), key=lambda pair: _hash(pair[0], seed))
    queues = [iter([image for image, own in pairs if name in own]) for name in classes]
    taken: dict[str, None] = {}
    while len(taken) < len(pairs):
        before = len(taken)
        for queue in queues:
            image = next((image for image in queue if image not in taken), None)
            if image is not None:
                taken[image] = None
        if len(taken) == before:  # no class has more
            taken |= dict.fromkeys(image for image, _ in pairs)
    return list(taken)


def _hash(image: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed},{image}".encode()).digest()


def choose_labelled(
    labelled: Labelled, rows: pd.DataFrame, classes: Sequence[str], seed: int
) -> list[str]:
    """The images that `labelled` names; rows: the index's rows of train.

    labelled: a number, a share (rounded, at least one image), or a list of names or paths.
    Raises UserError for more images than there are, or for unknown names.
    """
    if isinstance(labelled, int | float):
        count = labelled if isinstance(labelled, int) else max(1, round(labelled * len(rows)))
        if count > len(rows):
            raise UserError(
                f"labelled: {count} images, but there are {len(rows)} of split train; lower it, or "
                "write all"
            )
        return label_order(rows["image"].tolist(), rows["tags"].tolist(), classes, seed)[:count]
    known = dict(zip(rows["path"], rows["image"], strict=True)) | {i: i for i in rows["image"]}
    raise_together(
        [
            f"labelled: no image '{name}' of split train; correct it, or take it out"
            for name in labelled
            if name not in known
        ]
    )
    return list(dict.fromkeys(known[name] for name in labelled))


def with_all_masks(masks: pd.DataFrame) -> pd.DataFrame:
    """Return the masks of the chosen images; raise UserError if an image has none."""
    lacks = masks.loc[masks["lacks"] != "", "lacks"]
    if len(lacks):
        raise UserError(
            f"labelled: {len(lacks)} of {len(masks)} chosen images have no mask; the first lacks "
            f"{lacks.iloc[0]}; add it, or list images that have masks"
        )
    return masks


class TrueMasks(NamedTuple):
    """The masks of the labelled images: their files by image, and the data set's mask table."""

    files: dict[str, Path]
    table: MaskTable

    def read(self, image: str, size: tuple[int, int]) -> np.ndarray:
        """An image's mask: uint8 [H, W], 255 ignored. Raises as `data.truth.read_mask`."""
        return read_mask(self.files[image], self.table, size)


def read_true_masks(path: Path | str, root: Path, table: MaskTable) -> TrueMasks:
    """Read the table that `write_labelled` wrote; root: the folder that its paths start from."""
    rows = read_labelled(path)
    return TrueMasks(
        {image: root / mask for image, mask in zip(rows["image"], rows["mask"], strict=True)}, table
    )


def read_labelled(path: Path | str) -> pd.DataFrame:
    """Read the table that `write_labelled` wrote; raises UserError if it is not such a table."""
    return read_checked(path, COLUMNS, "run again")


def write_labelled(path: Path | str, masks: pd.DataFrame) -> None:
    """Write the table of images, masks and, where there are such, files of instances ("" else)."""
    write_table(path, masks, COLUMNS)
