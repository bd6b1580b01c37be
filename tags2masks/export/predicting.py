"""Masks of new images: which images can be segmented, and the folder that is written.

Does not import torch: worker processes of programs import this module.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from tags2masks.data.images import SUFFIXES, image_files, inspect_image
from tags2masks.data.index import files_of, with_reading
from tags2masks.errors import UserError, raise_together
from tags2masks.export.masks import write_masks
from tags2masks.files import written_whole
from tags2masks.given import path_inside, read_text
from tags2masks.store import Entry

KEPT = "probabilities"


def find_images(
    folder: Path, reading: dict, image_list: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images of a folder and its subfolders, and those that cannot be read.

    reading: how those are read that the model learned from, see `Dataset.reading`; image_list: a
    file with the names of those to take, None: all.
    Returns image, path, height, width, and how they are read; and image, problem.
    Raises UserError when there are none that can be read, and for a list that does not fit.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; correct `images` of predict in the config")
    paths = sorted(path.relative_to(folder).as_posix() for path in image_files(folder))
    if not paths:
        raise UserError(f"{folder}: holds no images ({', '.join(sorted(SUFFIXES))})")
    if image_list is not None:
        paths = _listed(image_list, folder, paths)
    return inspect_images(folder, paths, reading)


def _listed(image_list: Path, folder: Path, paths: Sequence[str]) -> list[str]:
    """The paths that a list names with or without their suffix, in its order."""
    try:
        names = [line.strip() for line in read_text(image_list).splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"{image_list}: cannot be read ({error}); correct the list") from None
    if not names:
        raise UserError(f"{image_list}: names no image; correct the list")
    whole, bare = {path: [path] for path in paths}, defaultdict(list)
    for path in paths:
        bare[str(PurePosixPath(path).with_suffix(""))].append(path)
    found, problems = [], []
    for name in names:
        match whole.get(name) or bare.get(name, []):
            case [path]:
                found.append(path)
            case []:
                problems.append(f"{image_list}: no image '{name}' in {folder}; correct the list")
            case [one, other, *_]:
                problems.append(
                    f"{image_list}: '{name}' is {one} or {other}; write it with its suffix"
                )
    raise_together(problems)
    if len(set(found)) < len(found):
        ((twice, _),) = Counter(found).most_common(1)
        raise UserError(f"{image_list}: names {twice} twice; keep one")
    return found


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

    entries: `segmenters.applying.entries_of` the rows; rows, damaged: of `find_images`; formats,
    overlay_root: of `write_masks`, which writes the masks, and instances. Where entries have
    probabilities, these are in `<image>.npz`, as the array `probabilities`. Raises UserError as
    `write_masks` does.
    """
    names = ["background", *classes]
    with written_whole(output) as folder:
        folder.mkdir()
        damaged.to_csv(folder / "damaged.csv", index=False, lineterminator="\n")
        with (folder / "shares.csv").open("w", newline="", encoding="utf-8") as table:
            writer = csv.writer(table)
            writer.writerow(["image", *names])

            def noted() -> Iterator[Entry]:
                for image, mask, about, *more in entries:
                    # Not by bincount, which takes eight bytes a pixel.
                    counts = (np.count_nonzero(mask == number) for number in range(len(names)))
                    shares = [count / mask.size for count in counts]
                    writer.writerow([image, *(f"{share:.4f}" for share in shares)])
                    if more and KEPT in more[0]:
                        file = path_inside(folder, f"{image}.npz")
                        file.parent.mkdir(parents=True, exist_ok=True)
                        np.savez_compressed(file, **{KEPT: more[0][KEPT]})
                    yield image, mask, about, *more

            write_masks(folder, noted(), rows, classes, formats, overlay_root)
