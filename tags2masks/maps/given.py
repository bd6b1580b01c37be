"""Maps that others made: a file of arrays for each image, one for each of its tags."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tags2masks.config.maps import GivenMaps
from tags2masks.data.images import DAMAGE
from tags2masks.errors import UserError
from tags2masks.given import file_of_each, open_given
from tags2masks.maps.scales import stored_size
from tags2masks.progress import progress
from tags2masks.store import Entry


def read_maps(rows: pd.DataFrame, folder: Path, spec: GivenMaps) -> Iterator[Entry]:
    """The store's entries: of every image the maps of its tags, float16 [K, h, w] in 0 to 1.

    rows: with image, tags, height, width; folder: has `<image>.npz` for each. Raises UserError for
    files that are missing, all together, and for one without a tag's array, with arrays of several
    sizes or values outside 0 to 1, or that is damaged.
    """
    files = file_of_each(rows["image"], folder, ".npz", "maps")
    images = zip(rows["image"], rows["tags"], rows["height"], rows["width"], strict=True)
    for image, tags, height, width in progress(images, "read maps", total=len(rows)):
        size = (int(height), int(width))
        largest = stored_size(size, spec.stride)
        maps = averaged(_read(files[image], tags), largest) if tags else np.zeros((0, *largest))
        yield image, maps.astype(np.float16), {"classes": list(tags), "size": list(size)}


def averaged(maps: np.ndarray, largest: tuple[int, int]) -> np.ndarray:
    """Maps, float32 [K, h, w], of at most this size: a cell is the mean of the pixels in it."""
    height, width = (min(of, most) for of, most in zip(maps.shape[1:], largest, strict=True))
    if maps.shape[1:] == (height, width):
        return maps
    smaller = [Image.fromarray(one).resize((width, height), Image.Resampling.BOX) for one in maps]
    return np.array(smaller, np.float32).clip(0, 1)


def _read(file: Path, tags: tuple[str, ...]) -> np.ndarray:
    """The arrays of an image's tags, at least one: float32 [K, h, w]."""
    try:
        with open_given(file) as opened, np.load(opened, allow_pickle=False) as arrays:
            found = {tag: arrays[tag] for tag in tags if tag in arrays.files}
    except DAMAGE as error:
        raise UserError(f"{file}: not readable as arrays ({error}); make it again") from None
    if absent := [tag for tag in tags if tag not in found]:
        raise UserError(f"{file}: no array '{absent[0]}', a tag of the image; save one per tag")
    for tag, array in found.items():
        if array.dtype.kind != "f" or array.ndim != 2 or not array.size:
            raise UserError(
                f"{file}: '{tag}' is an array {list(array.shape)} of {array.dtype}; save floats "
                "[h, w]"
            )
        if not (array.min() >= 0 and array.max() <= 1):
            raise UserError(
                f"{file}: '{tag}' has values outside 0 to 1 or that are no numbers; cut negative "
                "ones off, and divide by the maximum"
            )
        first = found[tags[0]]
        if array.shape != first.shape:
            raise UserError(
                f"{file}: '{tag}' is {list(array.shape)} and '{tags[0]}' {list(first.shape)}; "
                "save all of one size"
            )
    return np.array(list(found.values()), np.float32)
