"""Photographs of surfaces with made-up defects: images, a table of tags, and masks to check by.

    python docs/examples/surface_defects.py FOLDER

writes FOLDER/images/*.png, FOLDER/tags.csv and FOLDER/masks/*.png. The surfaces are the photographs
of brick, grass and gravel that are part of scikit-image (CC0); nothing is downloaded. A defect
changes the texture in an irregular region, and leaves the region's mean colour as it was:

- crazing: a net of thin dark cracks;
- pitting: small pits, lit from the upper left;
- slip: strips of two or three rows, displaced sideways, lighter and darker by turns.

Images of train and val show different halves of the photographs. The same numbers of images give
the same pixels.
"""

import argparse
import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage.data
from PIL import Image
from scipy.ndimage import gaussian_filter, label
from scipy.spatial import KDTree

from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.palette import write_palette_png
from tags2masks.program import run

CLASSES = ("crazing", "pitting", "slip")  # in the order of the masks' ids, 1 to 3
SURFACES = ("brick", "grass", "gravel")
IMAGES = {"train": 240, "val": 80}
SIDE = 96  # of an image, pixels
MARGIN = 16  # of surface around an image, from which strips are displaced into it
SOUND = 0.2  # share of images without a defect
TWO = 0.3  # share of images with two defects, of different classes
EDGE = 14  # least distance of a defect's centre from the image's edge, pixels
AREA = (0.08, 0.22)  # smallest and largest share of the image that a defect covers
SEED = 0


class Photograph(NamedTuple):
    """An image with its truth.

    image: uint8 [SIDE, SIDE]; mask: uint8 [SIDE, SIDE], 0 or 1 + the class's place in CLASSES.
    """

    image: np.ndarray
    mask: np.ndarray


def draw(split: str, number: int) -> Photograph:
    """Draw an image of a split; it does not depend on how many there are."""
    rng = np.random.default_rng((SEED, list(IMAGES).index(split), number))
    surface = _surface(rng, split)
    count = rng.choice(3, p=(SOUND, 1 - SOUND - TWO, TWO))
    image, mask = _inner(surface).copy(), np.zeros((SIDE, SIDE), np.uint8)
    for kind in rng.permutation(len(CLASSES))[:count]:
        region = _region(rng, mask > 0)
        changed = DEFECTS[CLASSES[kind]](rng, surface)
        # The mean of the region stays, so that its colour tells nothing.
        changed += _inner(surface)[region].mean() - changed[region].mean()
        image[region] = changed[region]
        mask[region] = kind + 1
    return Photograph(np.clip(np.round(image), 0, 255).astype(np.uint8), mask)


@cache
def _photograph(name: str) -> np.ndarray:
    """A photograph of scikit-image: uint8 [512, 512]."""
    return getattr(skimage.data, name)()


def _surface(rng: np.random.Generator, split: str) -> np.ndarray:
    """A view of a surface, MARGIN larger than an image on each side: [s, s].

    The left half of a photograph belongs to train, the right half to val.
    """
    whole = _photograph(SURFACES[rng.integers(len(SURFACES))])
    half = whole.shape[1] // 2
    area = whole[:, :half] if split == "train" else whole[:, half:]
    side = SIDE + 2 * MARGIN
    top, left = (int(rng.integers(room - side + 1)) for room in area.shape)
    view = area[top : top + side, left : left + side]
    return _lit(rng, view[:, ::-1] if rng.random() < 0.5 else view)


def _lit(rng: np.random.Generator, view: np.ndarray) -> np.ndarray:
    """A view of random contrast and brightness, alike on every surface: float64, 40 to 215."""
    view = (view - view.mean()) / view.std() * rng.uniform(22, 32) + rng.uniform(105, 150)
    return np.clip(view, 40, 215)  # which leaves room for lighter and darker defects


def _inner(surface: np.ndarray) -> np.ndarray:
    return surface[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _region(rng: np.random.Generator, taken: np.ndarray) -> np.ndarray:
    """An irregular region of one piece, away from what is taken: bool [SIDE, SIDE]."""
    rows, columns = np.indices((SIDE, SIDE))
    free = ~taken & (gaussian_filter(taken.astype(float), 6) < 0.02)
    height = gaussian_filter(rng.standard_normal((SIDE, SIDE)), 7)
    centres = np.argwhere(free[EDGE:-EDGE, EDGE:-EDGE]) + EDGE
    row, column = centres[rng.integers(len(centres))]
    distance = np.hypot(rows - row, columns - column) / (SIDE / 4)
    height = np.where(free, height / height.std() * 0.35 - distance, -np.inf)
    pixels = round(rng.uniform(*AREA) * SIDE**2)
    pieces, _ = label(height >= np.sort(height, axis=None)[-pixels])
    return pieces == pieces[row, column]


def _crazing(rng: np.random.Generator, surface: np.ndarray) -> np.ndarray:
    """Dark where two of randomly placed points are equally near."""
    points = rng.uniform(0, SIDE, (SIDE**2 // 90, 2))
    places = np.indices((SIDE, SIDE)).reshape(2, -1).T
    near, second = KDTree(points).query(places, k=2)[0].T
    crack = np.exp(-(((second - near) / 1.2) ** 2)).reshape(SIDE, SIDE)
    return _inner(surface) - 70 * crack


def _pitting(rng: np.random.Generator, surface: np.ndarray) -> np.ndarray:
    """Dark on the upper left of randomly placed points, light on the lower right."""
    pits = np.zeros((SIDE, SIDE))
    for row, column in rng.integers(SIDE, size=(SIDE**2 // 60, 2)):
        pits[row, column] = 1
    slope = gaussian_filter(pits, 1.4, order=(1, 0)) + gaussian_filter(pits, 1.4, order=(0, 1))
    return _inner(surface) + 1300 * slope


def _slip(rng: np.random.Generator, surface: np.ndarray) -> np.ndarray:
    """Each strip moves by 6 to MARGIN pixels, to one side or the other."""
    moved = np.empty((SIDE, SIDE))
    top, lighter = 0, 12
    while top < SIDE:
        rows = slice(top, min(top + int(rng.integers(2, 4)), SIDE))
        shift = int(rng.integers(6, MARGIN + 1)) * int(rng.choice((-1, 1)))
        moved[rows] = _inner(np.roll(surface, shift, axis=1))[rows] + lighter
        top, lighter = rows.stop, -lighter
    return moved


DEFECTS = {"crazing": _crazing, "pitting": _pitting, "slip": _slip}


def write_folder(folder: Path) -> None:
    """Write images, tags and masks into a new folder.

    Raises UserError if it exists.
    """
    if folder.exists():
        raise UserError(f"{folder}: exists already; delete it, or name another folder")
    with written_whole(folder) as beside:
        for name in ("images", "masks"):
            (beside / name).mkdir(parents=True)
        with (beside / "tags.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["image", "tags", "split"])
            for split, count in IMAGES.items():
                for number in range(count):
                    name = f"{split}-{number:03d}.png"
                    drawn = draw(split, number)
                    Image.fromarray(drawn.image).save(beside / "images" / name)
                    write_palette_png(beside / "masks" / name, drawn.mask)
                    ids = np.unique(drawn.mask[drawn.mask > 0])
                    table.writerow([name, ";".join(CLASSES[kind - 1] for kind in ids), split])


def main() -> None:
    """Read the folder's name and write the data set."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("folder", type=Path)
    folder = options.parse_args().folder
    write_folder(folder)
    print(f"{folder}: {sum(IMAGES.values())} images, tags.csv, masks to check by")


if __name__ == "__main__":
    run(main)
