"""Boxes as careless people draw them, to ask what a method makes of them.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), figure 5.7 (a),
after Hsu et al. (NeurIPS 2019): boxes expanded or contracted by up to 20 %. Neither says how the
noise is drawn; here each side moves by itself, evenly distributed.
"""

import numpy as np
import pandas as pd

from tags2masks.data.boxes import CORNERS
from tags2masks.data.index import sizes_of
from tags2masks.data.randomness import image_seed


def with_noise(
    boxes: pd.DataFrame, index: pd.DataFrame, noise: tuple[float, float], seed: int
) -> pd.DataFrame:
    """The boxes with each side moved at random, in whole pixels, within its image.

    boxes: a table of `boxes.box_table`, corners inclusive; index: the rows of the images. noise:
    how far a side moves inwards and outwards at most, as shares of the box's width or height;
    inwards by less than half. A box keeps a pixel at least. The noise of an image's boxes depends
    on no other image.
    """
    sizes = dict(zip(index["image"], sizes_of(index), strict=True))
    corners = boxes[list(CORNERS)].to_numpy(np.int64)
    moved = corners.copy()
    for image, places in boxes.groupby("image", sort=False).indices.items():
        rng = np.random.default_rng([image_seed(seed, image), 0])
        moved[places] = _moved(corners[places], sizes[image], noise, rng)
    return boxes.assign(**dict(zip(CORNERS, moved.T, strict=True)))


def _moved(
    corners: np.ndarray, size: tuple[int, int], noise: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    inwards, outwards = noise
    outward = rng.uniform(-inwards, outwards, corners.shape)
    sides = corners[:, 2:] - corners[:, :2] + 1  # [n, 2]: width and height
    low = corners[:, :2] - outward[:, :2] * sides
    high = corners[:, 2:] + 1 + outward[:, 2:] * sides
    last = np.array(size[::-1])
    low = np.rint(low).astype(np.int64).clip(0, last - 1)
    high = np.rint(high).astype(np.int64).clip(low + 1, last)
    return np.concatenate([low, high - 1], axis=1)
