"""The truth about the images, for evaluation alone: masks and instances."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from tags2masks.config.datasets import MOST_CLASSES
from tags2masks.data.images import decode
from tags2masks.data.tables import read_checked, write_table
from tags2masks.errors import UserError, raise_together
from tags2masks.given import is_given
from tags2masks.progress import progress

COLUMNS = ("image", "mask", "instances")
IGNORED = 255
INVALID = 254  # in a mask table: the file may not hold this id


def read_truth(path: Path | str) -> pd.DataFrame:
    """Read truth.csv: image, mask and instances ("" for none).

    Images without a mask have no row. Raises UserError naming the file when it is no truth table.
    """
    return read_checked(path, COLUMNS, "run again")


def write_truth(path: Path | str, frame: pd.DataFrame) -> None:
    """Write what `with_masks` gives; `read_truth` gives it back."""
    write_table(path, frame, COLUMNS)


def plain_table(count: int) -> np.ndarray:
    """The mask table of files that hold our own ids: 0, 1 to count, and 255; others are invalid.

    Raises UserError when there are more classes than a mask can hold.
    """
    if count > MOST_CLASSES:
        raise UserError(f"{count} classes, but masks hold {MOST_CLASSES}; choose fewer")
    table = np.full(256, INVALID, np.uint8)
    table[: count + 1] = np.arange(count + 1)
    table[IGNORED] = IGNORED
    return table


def read_mask(path: Path | str, table: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Read a palette or 8-bit grey PNG as uint8 [h, w]: 0 background, 1..K classes, 255 ignored.

    table: uint8 [256] from the file's ids to ours, `INVALID` where there is none.
    size: (height, width) of the image.
    Raises UserError naming the file when it is absent, damaged, no such PNG, of another size, or
    holds an invalid id.
    """
    image = decode(path)
    expected = "expected a PNG of palette or 8-bit grey ids"
    if image.format != "PNG":
        raise UserError(f"{path}: a {image.format} file; {expected}")
    if image.mode not in ("P", "L"):
        kind = {"RGB": "RGB colours", "RGBA": "RGBA colours", "1": "1 bit per pixel"}
        raise UserError(f"{path}: {kind.get(image.mode, f'mode {image.mode}')}; {expected}")
    if image.mode == "L" and _png_depth(path) != 8:
        # A decoder stretches 2 and 4 bits to 0..255: the ids would change.
        raise UserError(f"{path}: grey of {_png_depth(path)} bits; {expected}")
    if (image.height, image.width) != tuple(size):
        raise UserError(
            f"{path}: {image.width} × {image.height} pixels, but its image has {size[1]} × "
            f"{size[0]} (upright); make the mask as large as the image"
        )
    ids = np.asarray(image)
    mask = table[ids]
    wrong = np.unique(ids[mask == INVALID])
    if wrong.size:
        valid = np.flatnonzero(table != INVALID)
        raise UserError(
            f"{path}: holds id {', '.join(map(str, wrong[:5]))}, not among {_ranges(valid)}; "
            "mend the mask or the list of classes"
        )
    return mask


def _png_depth(path: Path | str) -> int:
    """Bits per pixel of a PNG file, from its header."""
    with Path(path).open("rb") as file:
        return file.read(25)[24]


def _ranges(numbers: np.ndarray) -> str:
    """Sorted numbers as people write them: "0-5, 255"."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def mask_files(images: Sequence[str], masks: Sequence[str], root: Path | str) -> pd.DataFrame:
    """What `list_masks` of a reader gives where masks are files that people made.

    masks: where the mask of each image would be, relative to root.
    Raises UserError when there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder of masks; correct the path or leave out masks")
    there = [is_given(root / mask) for mask in masks]
    pairs = list(zip(masks, there, strict=True))
    return pd.DataFrame(
        {
            "image": list(images),
            "mask": [mask if exists else "" for mask, exists in pairs],
            "instances": "",
            "lacks": ["" if exists else str(root / mask) for mask, exists in pairs],
        }
    )


def with_masks(found: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    """The rows of a reader's `list_masks` that have a mask.

    Masks for one split alone are common (nobody draws them to train on tags), so images without one
    are left out, and a note says so. Raises UserError when there is no mask at all.
    """
    split = found["image"].map(index.set_index("image")["split"])
    bare = found["lacks"] != ""
    if bare.all():
        raise UserError(
            f"none of {len(found)} images has a mask; the first lacks {found['lacks'].iloc[0]}; "
            "correct the path of the masks, or do without them"
        )
    for name, lacks in found.loc[bare, "lacks"].groupby(split[bare], sort=True):
        print(
            f"note: {len(lacks)} of {(split == name).sum()} {name} images have no mask and are "
            f"left out; the first lacks {lacks.iloc[0]}",
            file=sys.stderr,
        )
    return found[~bare].reset_index(drop=True)


def check_masks(
    truth: pd.DataFrame, index: pd.DataFrame, root: Path | str, table: np.ndarray, threads: int
) -> None:
    """Read every mask once.

    Raises UserError with a line for each that `read_mask` refuses.
    """
    sizes = index.set_index("image")[["height", "width"]]

    def problem(image: str, mask: str) -> str | None:
        try:
            read_mask(Path(root) / mask, table, tuple(sizes.loc[image]))
        except UserError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(problem, truth["image"], truth["mask"])
        problems = list(progress(found, "check masks", total=len(truth), unit="mask"))
    raise_together([text for text in problems if text])
