"""Masks of new images: which images can be segmented, and the folder that is written.

Does not import torch: worker processes of programs import this module.
"""

import csv
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tags2masks.coco_export import instance_picture
from tags2masks.data.images import SUFFIXES, image_files, inspect_image
from tags2masks.data.index import files_of, with_reading, write_classes
from tags2masks.errors import UserError
from tags2masks.export.formats import FORMATS, Annotated, objects_of
from tags2masks.files import written_whole
from tags2masks.given import path_inside
from tags2masks.instance_store import KIND, decoded
from tags2masks.palette import write_palette_png
from tags2masks.store import Entry


def find_images(folder: Path, reading: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images of a folder and its subfolders, and those that cannot be read.

    reading: how those are read that the model learned from, see `Dataset.reading`.
    Returns image, path, height, width, and how they are read; and image, problem.
    Raises UserError when there are none that can be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; correct `images` of predict in the config")
    paths = sorted(path.relative_to(folder).as_posix() for path in image_files(folder))
    if not paths:
        raise UserError(f"{folder}: holds no images ({', '.join(sorted(SUFFIXES))})")
    return inspect_images(folder, paths, reading)


def inspect_images(
    folder: Path, paths: Sequence[str], reading: dict
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As `find_images`, of these paths below the folder."""
    # The suffix stays in the name: a.jpg and a.png are two images here.
    rows = with_reading(pd.DataFrame({"image": paths, "path": paths}), reading)
    readable, damaged = [], []
    for file, row in zip(files_of(rows, folder), rows.to_dict("records"), strict=True):
        try:
            height, width = inspect_image(file)[:2]
            readable.append({**row, "height": height, "width": width})
        except UserError as error:
            damaged.append((row["image"], str(error)))
    if not readable:
        raise UserError(f"{folder}: none of {len(paths)} images can be read; {damaged[0][1]}")
    return pd.DataFrame(readable), pd.DataFrame(damaged, columns=["image", "problem"])


def write_predictions(
    output: Path,
    entries: Iterable[Entry],
    rows: pd.DataFrame,
    damaged: pd.DataFrame,
    classes: Sequence[str],
    formats: Collection[str] = (),
    overlay_root: Path | None = None,
) -> None:
    """Write the folder: palette PNGs, classes, each class's share of each image, damaged images.

    entries: `segmenters.applying.entries_of` the rows; rows, damaged: of `find_images`. Where
    entries have instances, also these, as coco.json and as pictures of their numbers; where they
    have probabilities, `<image>.npz` with the array `probabilities`. formats: of
    `formats.FORMATS`. overlay_root: the folder of the images, for `<image>.overlay.jpg`; None: no
    overlays. Raises UserError as the formats do.
    """
    names, found, wanted = ["background", *classes], {}, set(formats)
    files = dict(zip(rows["image"], files_of(rows, overlay_root or Path()), strict=True))
    with written_whole(output) as folder:
        folder.mkdir()
        damaged.to_csv(folder / "damaged.csv", index=False, lineterminator="\n")
        write_classes(folder / "classes.txt", classes)
        with (folder / "shares.csv").open("w", newline="", encoding="utf-8") as table:
            writer = csv.writer(table)
            writer.writerow(["image", *names])
            for image, mask, about, *more in entries:
                write_palette_png(path_inside(folder, f"{image}.png"), mask)
                shares = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
                writer.writerow([image, *(f"{share:.4f}" for share in shares)])
                further = more[0] if more else {}
                if "probabilities" in further:
                    file = path_inside(folder, f"{image}.npz")
                    np.savez_compressed(file, probabilities=further["probabilities"])
                if overlay_root is not None:
                    # Lazy import: of matplotlib, which workers for a CRF would import too.
                    from tags2masks.export.overlays import write_overlay

                    write_overlay(path_inside(folder, f"{image}.overlay.jpg"), files[image], mask)
                if KIND in further:
                    found[image] = decoded(further[KIND], about)
                    picture = instance_picture(found[image], mask.shape)
                    write_palette_png(path_inside(folder, f"{image}.instances.png"), picture)
                    wanted.add("coco")
                elif formats:
                    found[image] = objects_of(mask)
        annotated = Annotated(rows, classes, [found.get(image, []) for image in rows["image"]])
        for name in sorted(wanted):
            FORMATS[name](folder, annotated)
