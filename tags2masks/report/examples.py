"""The choice of training images that a report shows. Light to import: only pandas and numpy."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tags2masks.data.index import spaced
from tags2masks.data.tables import read_table

WELL, BADLY, EVENLY = "well", "badly", "evenly"


def choose(rows: pd.DataFrame, images_csv: Path | str | None, count: int) -> list[str]:
    """The images of all groups of `choose_groups`, in the order of `rows`."""
    groups = choose_groups(rows, images_csv, count)
    chosen = {image for images in groups.values() for image in images}
    return [image for image in rows["image"] if image in chosen]


def choose_groups(
    rows: pd.DataFrame, images_csv: Path | str | None, count: int
) -> dict[str, list[str]]:
    """`count` images whose masks are good (`well`) and `count` whose masks are bad (`badly`).

    rows: the training images, with columns image and tags (tuples). images_csv: table of image and
    iou of their masks. Good ones are spaced over the best fifth, bad ones over the worst fifth,
    best first. With fewer than 2 * count images, each is in one group. Images without tags are
    chosen only if there are too few others. Without images_csv, or if no image was measured: 2 *
    count images spaced over all (`evenly`).
    """
    images = _tagged_first(rows, count)
    quality = _quality(images, images_csv) if images_csv else []
    if not quality:
        return {EVENLY: spaced(images, 2 * count)}
    well, badly = math.ceil(len(quality) / 2), len(quality) // 2
    fifth = max(count, math.ceil(len(quality) / 5))
    groups = {
        WELL: spaced(quality[: min(fifth, well)], count),
        BADLY: spaced(quality[len(quality) - min(fifth, badly) :], count),
    }
    return {name: members for name, members in groups.items() if members}


def _tagged_first(rows: pd.DataFrame, count: int) -> list[str]:
    tagged = rows.loc[rows["tags"].map(bool).astype(bool), "image"].tolist()
    return tagged if len(tagged) >= 2 * count else rows["image"].tolist()


def _quality(images: Sequence[str], images_csv: Path | str) -> list[str]:
    """The images that were measured, best first, ties by name."""
    table = read_table(images_csv, ["image", "iou"], "run again")
    table["iou"] = pd.to_numeric(table["iou"], errors="coerce")
    measured = table[table["image"].isin(set(images)) & table["iou"].notna()]
    return measured.sort_values(["iou", "image"], ascending=[False, True])["image"].tolist()
