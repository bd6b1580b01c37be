"""Colours of classes in the report's pictures, which any two of them can be told apart by."""

from functools import cache

import numpy as np
from skimage.color import rgb2lab

from tags2masks.mask_ids import IGNORED

BACKGROUND = (240, 238, 232)
HATCH = ((186, 186, 186), (128, 128, 128))  # of ignored pixels
LEVELS = range(0, 256, 15)  # of red, green and blue
LIGHTEST, DARKEST, PALEST = 80, 35, 35  # CIELAB's lightness, and chroma


@cache
def mask_colours() -> np.ndarray:
    """uint8 [256, 3]: the colour of each id in the pictures; 254 and 255 are the hatching's.

    Each class has the colour that is farthest (CIELAB) from those of the background, the hatching
    and all classes before it. The palette of PASCAL VOC, which exported masks have, has three reds
    among its first twelve.
    """
    taken = [BACKGROUND, *HATCH]
    grid = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS, indexing="ij"), -1).reshape(-1, 3)
    places = rgb2lab(grid / 255)
    vivid = np.hypot(places[:, 1], places[:, 2]) >= PALEST
    shown = vivid & (places[:, 0] >= DARKEST) & (places[:, 0] <= LIGHTEST)
    grid, places = grid[shown], places[shown]
    nearest = np.full(len(places), np.inf)
    for colour in rgb2lab(np.array(taken)[None] / 255)[0]:
        nearest = np.minimum(nearest, np.linalg.norm(places - colour, axis=1))
    colours = np.zeros((256, 3), np.uint8)
    colours[0], colours[254], colours[IGNORED] = taken
    for id in range(1, 254):
        farthest = int(nearest.argmax())
        colours[id] = grid[farthest]
        nearest = np.minimum(nearest, np.linalg.norm(places - places[farthest], axis=1))
    colours.flags.writeable = False
    return colours
