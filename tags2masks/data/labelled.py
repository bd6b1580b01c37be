"""Which training images have masks to learn from: a source of supervision of its own.

Few images should show each class, and more images should be the same ones and others. So there is
one order, whatever the number: the classes take turns, each with the next image that bears its tag,
in an order that is random but the image's own: a new image moves no other.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tags2masks.data.tables import write_table
from tags2masks.errors import UserError, raise_together

COLUMNS = ("image", "mask")

Labelled = int | float | Sequence[str]  # as the config has it; "all" is for the caller


def label_order(
    images: Sequence[str], tags: Sequence[Sequence[str]], classes: Sequence[str], seed: int
) -> list[str]:
    """All images in the order in which they get masks; tags: of each.

    Each turn of a class takes its next image, by the hash of seed and name, that no class has
    taken; a class without one passes. Images without tags come last.
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
    """The images that `labelled` names, of the index's rows of train.

    labelled: their number, their share (rounded, but one at least), or a list of names or paths.
    Raises UserError for more images than there are, or names that are not among them.
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
    """The masks of the chosen images, as a reader lists them, if each has one; else UserError."""
    lacks = masks.loc[masks["lacks"] != "", "lacks"]
    if len(lacks):
        raise UserError(
            f"labelled: {len(lacks)} of {len(masks)} chosen images have no mask; the first lacks "
            f"{lacks.iloc[0]}; add it, or list images that have masks"
        )
    return masks


def write_labelled(path: Path | str, masks: pd.DataFrame) -> None:
    """Write the table of images and their masks."""
    write_table(path, masks, COLUMNS)
