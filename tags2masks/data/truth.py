"""The truth for evaluation: masks and instances."""

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from tags2masks.config.dataset_base import MOST_CLASSES
from tags2masks.config.mask_values import BACKGROUND, IGNORED_NAME, is_colour
from tags2masks.data.images import decode
from tags2masks.data.tables import read_checked, write_table
from tags2masks.errors import UserError, raise_together
from tags2masks.given import is_given
from tags2masks.mask_ids import IGNORED
from tags2masks.progress import progress

COLUMNS = ("image", "mask", "instances")
INVALID = 254  # in a mask table: the file may not hold this id
MOST_COLOURS = 32  # in a message; with more the file is a photograph or has blended edges


def read_truth(path: Path | str) -> pd.DataFrame:
    """Read truth.csv: image, mask and instances ("" for none).

    Images without a mask have no row. Raises UserError naming the file if it is not such a table.
    """
    return read_checked(path, COLUMNS, "run again")


def write_truth(path: Path | str, frame: pd.DataFrame) -> None:
    """Write a table of `with_masks`; `read_truth` reads it."""
    write_table(path, frame, COLUMNS)


def plain_table(count: int) -> np.ndarray:
    """The mask table of files with our own ids: 0, 1 to count, and 255; other ids are invalid.

    Raises UserError for more classes than a mask can hold.
    """
    if count > MOST_CLASSES:
        raise UserError(f"{count} classes, but masks hold {MOST_CLASSES}; choose fewer")
    table = np.full(256, INVALID, np.uint8)
    table[: count + 1] = np.arange(count + 1)
    table[IGNORED] = IGNORED
    return table


class Colours(NamedTuple):
    """The mask table of files with colours.

    values: int32 [n], 0xRRGGBB, ascending; ids: uint8 [n], ours.
    """

    values: np.ndarray
    ids: np.ndarray


MaskTable = np.ndarray | Colours
"""From values in mask files to our ids: uint8 [256] for numbers, with `INVALID`, or `Colours`."""


def value_table(mask_values: Mapping[str, str], ids: Mapping[str, int]) -> MaskTable:
    """The mask table of a data set's `mask_values`; ids: our id of each class name."""
    ids = {BACKGROUND: 0, IGNORED_NAME: IGNORED, **ids}
    if any(map(is_colour, mask_values)):
        pairs = sorted((int(value[1:], 16), ids[name]) for value, name in mask_values.items())
        values, mine = zip(*pairs, strict=True)
        return Colours(np.array(values, np.int32), np.array(mine, np.uint8))
    table = np.full(256, INVALID, np.uint8)
    for value, name in mask_values.items():
        table[int(value)] = ids[name]
    return table


class UnknownValues(UserError):
    """A mask with unknown values; `values` has them in the form of `mask_values` keys."""

    def __init__(self, message: str, values: Sequence[str]):
        super().__init__(message)
        self.values = tuple(values)

    def __reduce__(self):
        return type(self), (str(self), self.values)


def read_mask(path: Path | str, table: MaskTable, size: tuple[int, int]) -> np.ndarray:
    """Read a PNG as uint8 [h, w]: 0 background, 1..K classes, 255 ignored.

    table: from the file's values (palette, 8-bit grey or 1-bit) or colours to our ids.
    size: (height, width) of the image.
    Raises UserError naming the file if it is absent, damaged, not such a PNG or of another size,
    and `UnknownValues` if it holds values that are not in the table.
    """
    image = decode(path)
    if image.format != "PNG":
        raise UserError(f"{path}: a {image.format} file; {_expected(table)}")
    if (image.height, image.width) != tuple(size):
        raise UserError(
            f"{path}: {image.width} × {image.height} pixels, but its image has {size[1]} × "
            f"{size[0]} (upright); make the mask as large as the image"
        )
    if isinstance(table, Colours):
        return _ids_of_colours(path, image, table)
    if image.mode not in ("P", "L", "1"):
        raise _no_ids(path, image)
    if image.mode == "L" and _png_depth(path) != 8:
        # Decoders stretch 2 and 4 bits to 0..255, which would change the ids.
        raise UserError(f"{path}: grey of {_png_depth(path)} bits; {_expected(table)}")
    ids = np.asarray(image).astype(np.uint8, copy=False)
    mask = table[ids]
    wrong = np.unique(ids[mask == INVALID])
    if wrong.size:
        valid = np.flatnonzero(table != INVALID)
        raise UnknownValues(
            f"{path}: holds id {_some(wrong)}, not among {_ranges(valid)}", map(str, wrong)
        )
    return mask


def _expected(table: MaskTable) -> str:
    if isinstance(table, Colours):
        return "expected a PNG of the colours that `mask_values` name"
    return "expected a PNG of palette or 8-bit grey ids"


def _no_ids(path: Path | str, image: Image.Image) -> UserError:
    """The error for a file of another mode than palette or 8-bit grey."""
    if image.mode not in ("RGB", "RGBA", "LA"):
        return UserError(f"{path}: mode {image.mode}; {_expected(None)}")
    colours = _written(np.unique(_packed(image)))
    kind = "grey with alpha" if image.mode == "LA" else f"{image.mode} colours"
    return UnknownValues(f"{path}: {kind} ({_some(colours)}); {_expected(None)}", colours)


def _ids_of_colours(path: Path | str, image: Image.Image, table: Colours) -> np.ndarray:
    if image.mode not in ("P", "L", "1", "RGB", "RGBA", "LA"):
        raise UserError(f"{path}: mode {image.mode}; {_expected(table)}")
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    if alpha is not None and alpha.getextrema()[0] < 255:
        raise UserError(f"{path}: partly transparent; save the mask without alpha")
    packed = _packed(image)
    place = np.searchsorted(table.values, packed).clip(max=len(table.values) - 1)
    if (unknown := packed[table.values[place] != packed]).size:
        wrong = _written(np.unique(unknown))
        raise UnknownValues(
            f"{path}: holds the colour {_some(wrong)}, which `mask_values` do not name", wrong
        )
    return table.ids[place]


def _packed(image: Image.Image) -> np.ndarray:
    """Each pixel's colour as 0xRRGGBB, int32 [h, w]."""
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def _written(colours: np.ndarray) -> list[str]:
    return [f"#{colour:06x}" for colour in colours]


def _some(values: Sequence) -> str:
    return ", ".join(map(str, values[:5])) + (", …" if len(values) > 5 else "")


def _png_depth(path: Path | str) -> int:
    """Bits per pixel of a PNG file, from its header."""
    with Path(path).open("rb") as file:
        return file.read(25)[24]


def _ranges(numbers: np.ndarray) -> str:
    """Sorted numbers as ranges: "0-5, 255"."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def mask_files(images: Sequence[str], masks: Sequence[str], root: Path | str) -> pd.DataFrame:
    """The listing of `list_masks` for data sets whose masks are the user's files.

    masks: the path of each image's mask relative to root, whether it exists or not.
    Raises UserError if root does not exist.
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


def with_masks(masks: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    """The rows of a reader's `list_masks` that have a mask.

    Data sets often have masks for one split only, so images without a mask are left out with a
    printed note. Raises UserError if there is no mask at all.
    """
    split = masks["image"].map(index.set_index("image")["split"])
    refuse_no_mask(masks)
    bare = masks["lacks"] != ""
    for name, lacks in masks.loc[bare, "lacks"].groupby(split[bare], sort=True):
        print(
            f"note: {len(lacks)} of {(split == name).sum()} {name} images have no mask and are "
            f"left out; the first lacks {lacks.iloc[0]}",
            file=sys.stderr,
        )
    return masks[~bare].reset_index(drop=True)


def refuse_no_mask(masks: pd.DataFrame) -> None:
    """Raise UserError if no image in a reader's `list_masks` has a mask."""
    if (masks["lacks"] != "").all():
        raise UserError(
            f"none of {len(masks)} images has a mask; the first lacks {masks['lacks'].iloc[0]}; "
            "correct the path of the masks, or do without them"
        )


def check_masks(
    truth: pd.DataFrame,
    index: pd.DataFrame,
    root: Path | str,
    table: MaskTable,
    classes: Sequence[str],
    threads: int,
) -> None:
    """Read every mask once, to check it.

    truth: columns image, mask; index: the rows of these images, with tags.
    Raises UserError with a line per invalid mask (one line for masks with the same unknown values,
    with the `mask_values` to write), or if the masks of tagged images show no class.
    """
    results = shown_ids(truth, index, root, table, threads)
    raise_together(mask_problems(results, truth, index, root, table, classes))


def shown_ids(
    truth: pd.DataFrame, index: pd.DataFrame, root: Path | str, table: MaskTable, threads: int
) -> list[set[int] | UserError]:
    """The ids in each mask of truth, or the error that reading it raises; see `check_masks`."""
    sizes = index.set_index("image")[["height", "width"]]

    def read(image: str, mask: str) -> set[int] | UserError:
        try:
            return set(np.unique(read_mask(Path(root) / mask, table, tuple(sizes.loc[image]))))
        except UserError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        pending = pool.map(read, truth["image"], truth["mask"])
        return list(progress(pending, "check masks", total=len(truth), unit="mask"))


def mask_problems(
    results: Sequence[set[int] | UserError],
    truth: pd.DataFrame,
    index: pd.DataFrame,
    root: Path | str,
    table: MaskTable,
    classes: Sequence[str],
) -> list[str]:
    """A message for each mistake in masks; results: of `shown_ids`, for the rows of truth."""
    if problems := _problems([r for r in results if isinstance(r, UserError)], table, classes):
        return problems
    tags = index.set_index("image")["tags"]
    tagged = [shown for shown, image in zip(results, truth["image"], strict=True) if tags[image]]
    seen = set().union(*tagged)
    if tagged and not seen - {0, IGNORED}:
        return [_no_class(seen, len(tagged), Path(root), table, classes)]
    return []


def _problems(errors: Sequence[UserError], table: MaskTable, classes: Sequence[str]) -> list[str]:
    """A line per mistake; masks with the same unknown values, or with colours, share a line."""
    unknown: dict[object, list[UnknownValues]] = {}
    for error in errors:
        if isinstance(error, UnknownValues):
            colours = is_colour(error.values[0])
            unknown.setdefault("colours" if colours else error.values, []).append(error)
    others = [str(error) for error in errors if not isinstance(error, UnknownValues)]
    for same in unknown.values():
        values = dict.fromkeys(value for error in same for value in error.values)
        more = f"; {len(same) - 1} more like it" if len(same) > 1 else ""
        others.append(f"{same[0]}{more}; {_say(sorted(values), table, classes)}")
    return others


def _say(values: Sequence[str], table: MaskTable, classes: Sequence[str]) -> str:
    """What the user can do about masks with these values."""
    if len(values) > MOST_COLOURS and is_colour(values[0]):
        return f"{len(values)} colours are too many for masks; save them without blended edges"
    if not is_colour(values[0]) or isinstance(table, Colours):
        return "mend the masks or the list of classes, or add what it stands for to `mask_values`"
    names = dict.fromkeys(values, "…") | ({"#000000": BACKGROUND} if "#000000" in values else {})
    if len(classes) == 1 and list(names.values()).count("…") == 1:
        names = {value: classes[0] if name == "…" else name for value, name in names.items()}
    pairs = ", ".join(f'"{value}": {name}' for value, name in names.items())
    known = ", ".join((BACKGROUND, *classes, IGNORED_NAME))
    return f"write in the data set `mask_values: {{{pairs}}}`, each a name among {known}"


def _no_class(
    seen: set[int], count: int, root: Path, table: MaskTable, classes: Sequence[str]
) -> str:
    """The message for masks with only background and ignored pixels."""
    words = {0: "0 (background)", IGNORED: "255 (ignored)"}
    held = " and ".join(words[number] for number in sorted(seen))
    images = "image" if count == 1 else "images"
    start = f"{root}: the masks of {count} tagged {images} hold {held} alone, and no class"
    usual = isinstance(table, np.ndarray) and table[IGNORED] == IGNORED
    if usual and IGNORED in seen:
        name = classes[0] if len(classes) == 1 else f"(one of {', '.join(classes)})"
        return (
            f"{start}; if 255 is the object, write in the data set `mask_values: {{0: background, "
            f"255: {name}}}`"
        )
    return f"{start}; correct the masks, or `mask_values` in the data set"
