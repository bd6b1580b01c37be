"""Warnings on data sets: problems that do not stop a run.

Each program that reads images or masks writes a table of warnings; the summary collects them, so
that they are shown beside the figures.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pandas as pd

from tags2masks.config.dataset_base import Dataset, Photographs
from tags2masks.data.tables import read_checked, write_table

FEWEST = 5
"""Fewer training images of a class than this give a warning."""
SHOWN = 5  # names listed in a warning


class Warned(NamedTuple):
    """note: a few words for the leaderboard; warning: a sentence that says what to do."""

    note: str
    warning: str


def write_warnings(path: Path | str, warnings: Sequence[Warned]) -> None:
    """Write a table of warnings, which may be empty, and print them."""
    for entry in warnings:
        print(f"warning: {entry.warning}", file=sys.stderr)
    write_table(path, pd.DataFrame(warnings, columns=list(Warned._fields)), Warned._fields)


def read_warnings(path: Path | str) -> list[Warned]:
    """Read a table of warnings; raises UserError naming the file if it is absent or invalid."""
    table = read_checked(path, Warned._fields, "run again")
    return [Warned(*row) for row in table[list(Warned._fields)].itertuples(index=False)]


def split_warnings(
    spec: Dataset, reader: ModuleType, index: pd.DataFrame, classes: Sequence[str]
) -> list[Warned]:
    """The warnings on the images of a split; index: its index, from `build_index`."""
    warnings = alpha_warnings(index, spec)
    if (index["split"] == "train").any():
        warnings += tag_warnings(index["tags"].tolist(), classes)
        warnings += reader.list_warnings(spec) if hasattr(reader, "list_warnings") else []
    return warnings


def listed(names: Sequence[str]) -> str:
    """Names separated by commas, at most `SHOWN` of them."""
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def tag_warnings(tags: Sequence[Sequence[str]], classes: Sequence[str]) -> list[Warned]:
    """Warnings on classes that all training images are tagged with, or very few."""
    counts = {name: sum(name in image_tags for image_tags in tags) for name in classes}
    everywhere = [name for name, count in counts.items() if count == len(tags)]
    few = [f"{name} ({count})" for name, count in counts.items() if count < FEWEST]
    warnings = []
    if everywhere:
        warnings.append(
            Warned(
                f"tagged in every training image: {listed(everywhere)}",
                f"every training image ({len(tags)}) is tagged with {listed(everywhere)}: a "
                "classifier learns nothing from that; add images that do not show it",
            )
        )
    if few:
        warnings.append(
            Warned(
                f"few training images: {listed(few)}",
                f"fewer than {FEWEST} training images are tagged with {listed(few)}: that is too "
                "few to learn from; tag more images",
            )
        )
    return warnings


def alpha_warnings(index: pd.DataFrame, spec: Photographs) -> list[Warned]:
    """Warnings on partly transparent images, which are composited on a colour.

    index: the index of one split, from `build_index`.
    """
    clear = index[index["opacity"] < 1]
    if clear.empty:
        return []
    split, names = clear["split"].iloc[0], listed(clear["image"].tolist())
    return [
        Warned(
            f"{len(clear)} of {len(index)} {split} images partly transparent",
            f"{len(clear)} of {len(index)} {split} images are partly transparent (opaque to "
            f"{100 * clear['opacity'].mean():.0f} % on average) and set on {spec.alpha}: {names}; "
            "write in the data set `alpha: ignore` to read them as opaque, or another colour, or "
            "`bands: [0, 1, 2]` if what is called alpha is none",
        )
    ]


def unlisted_warnings(unlisted: Sequence[str], table: str, folder: str) -> list[Warned]:
    """Warnings on images in the folder without a row in the table."""
    if not unlisted:
        return []
    count = f"{len(unlisted):,} image{'s' if len(unlisted) > 1 else ''}"
    return [
        Warned(
            f"{count} without a row in the table of tags",
            f"{count} in {folder} {'are' if len(unlisted) > 1 else 'is'} left out, as no row of "
            f"{table} names {'them' if len(unlisted) > 1 else 'it'}: {listed(unlisted)}",
        )
    ]
