"""Maps of objects that others made: grey images of the images' sizes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tags2masks.config.objectness import Given
from tags2masks.data.images import decode
from tags2masks.errors import UserError
from tags2masks.given import file_of_each
from tags2masks.maps.scales import stored_size
from tags2masks.progress import progress
from tags2masks.store import Entry


def read_maps(rows: pd.DataFrame, folder: Path, spec: Given) -> Iterator[Entry]:
    """The store's entries: of every image its map, float16 [1, h, w], and the image's size.

    rows: with image, height, width; folder: has `<image>.png` for each. Raises UserError for maps
    that are missing, all together, and for one that is of another size, has colours or is damaged.
    """
    files = file_of_each(rows["image"], folder, ".png", "saliency map")
    images = zip(rows["image"], rows["height"], rows["width"], strict=True)
    for image, height, width in progress(images, "read saliency maps", total=len(rows)):
        size = (int(height), int(width))
        yield image, _read(files[image], size, spec.stride), {"size": list(size)}


def _read(file: Path, size: tuple[int, int], stride: int) -> np.ndarray:
    """A map at 1/stride of the image's size, float16 [1, h, w], each cell the mean of its area."""
    picture = decode(file)
    if picture.mode not in ("L", "1"):
        raise UserError(
            f"{file}: has mode {picture.mode}, but a saliency map is grey with 8 bits; convert it "
            "to L"
        )
    if picture.size[::-1] != size:
        raise UserError(
            f"{file}: {picture.width} × {picture.height} pixels, but its image has {size[1]} × "
            f"{size[0]}; resize the map to the image"
        )
    height, width = stored_size(size, stride)
    shares = Image.fromarray(np.asarray(picture.convert("L"), np.float32) / 255)
    cells = shares.resize((width, height), Image.Resampling.BOX)
    return np.asarray(cells).clip(0, 1).astype(np.float16)[None]
