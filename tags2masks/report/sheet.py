"""The contact sheet of an artifact: a page with all its masks, over their images.

The page holds the figures of the images, and no picture: those are in folders beside it, so that a
browser loads only what is on the screen. The folder `sheets` of a data set can be moved as a whole.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tags2masks.data.tables import read_checked
from tags2masks.plausibility import DOUBTS, PARTS, SHARES
from tags2masks.report.colours import mask_colours
from tags2masks.report.templates import page_template
from tags2masks.report.thumbnails import SUFFIXES
from tags2masks.scores.doubts import MOST

MEND = "run the workflow again"


def write_sheet(
    title: str,
    artifact_id: str,
    rows: pd.DataFrame,
    classes: Sequence[str],
    doubts: Path | str,
    shares: Path | str,
    size: int,
) -> str:
    """The page of the masks of an artifact.

    title: the entries that lead to the masks; rows: the training images; doubts, shares: the tables
    of `tags2masks.plausibility` of their masks; size: pixels of a picture's longer side. Images
    that are not in `doubts` have no mask and are left out. Equal files give equal text.
    Raises UserError for a table that cannot be read.
    """
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in mask_colours()]
    return page_template("sheet.html.jinja").render(
        title=title,
        id=artifact_id,
        classes=classes,
        colours=colours[1 : len(classes) + 1],
        images=images_of(rows, classes, doubts, shares),
        parts=PARTS,
        suffixes=SUFFIXES,
        size=size,
        most=MOST,
    )


def images_of(
    rows: pd.DataFrame, classes: Sequence[str], doubts: Path | str, shares: Path | str
) -> list[list]:
    """For each image with a mask, in the order of `rows`: id, picture (below the folder), width,
    height, doubt, its `PARTS`, tags and [class, share] of the classes that the mask shows.

    Classes are numbered from 0. Numbers are rounded; None stands for none.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    table = read_checked(doubts, DOUBTS, MEND).set_index("image")
    shown: dict[str, list] = {}
    of_classes = read_checked(shares, SHARES, MEND)
    for image, name, share in zip(
        of_classes["image"], of_classes["class"], of_classes["share"], strict=True
    ):
        if float(share) > 0:
            shown.setdefault(image, []).append([numbers[name], _short(share)])
    pictures = rows.groupby("shard", sort=False).cumcount()
    images = []
    for row, number in zip(rows.to_dict("records"), pictures, strict=True):
        image = row["image"]
        if image in table.index:
            figures = [
                _short(cell) if cell else None for cell in table.loc[image, ["doubt", *PARTS]]
            ]
            tags = [numbers[tag] for tag in row["tags"]]
            picture = f"{row['shard']}/{number}"
            size = int(row["width"]), int(row["height"])
            images.append([image, picture, *size, *figures, tags, shown.get(image, [])])
    return images


def _short(number: str) -> float:
    """Four digits suffice for the page; the smallest share does not become 0."""
    return float(f"{float(number):.4g}")
