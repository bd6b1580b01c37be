"""A folder of huge images with a table of tags, cut into overlapping tiles when it is listed.

A tile has the tags and the split of its image. Its name is that of the image and its left and upper
pixel, `city@x00448y00896`; an image that is no larger than a tile keeps its own.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from tags2masks.config.folders import Tiled
from tags2masks.data import folder as whole
from tags2masks.data.boxes import CORNERS, Box, box_table
from tags2masks.data.images import accept_huge_images, decode, read_image
from tags2masks.data.index import files_of, with_reading
from tags2masks.data.tiles import Tile, tiles_of
from tags2masks.data.truth import check_masks, mask_files, plain_table, read_mask
from tags2masks.data.warnings import Warned
from tags2masks.errors import UserError, raise_together
from tags2masks.files import written_whole
from tags2masks.palette import write_palette_png
from tags2masks.progress import progress

PLACE = re.compile(r"(.+)@x(\d{5,})y(\d{5,})")
LEAST = 0.25  # of a box that a tile must hold for the box to count in it


class Cut(NamedTuple):
    """A tile's name, the image that it is of, and where."""

    name: str
    image: str
    tile: Tile


def list_classes(spec: Tiled, root: Path | str) -> list[str]:
    """As for kind `folder`."""
    return whole.list_classes(spec, spec.images)


def list_images(
    spec: Tiled, root: Path | str, split: str, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """Cut a split's images into tiles in root/images/split, check their masks, and list the tiles.

    Raises UserError as for kind `folder`, for images that cannot be read (all in one message) or
    are called like a tile, and for invalid masks.
    """
    accept_huge_images()
    images = whole.list_images(spec, spec.images, split, classes, seed)
    files = files_of(with_reading(images, spec.reading), spec.images)
    rows, sizes, problems = [], {}, []
    with written_whole(Path(root) / "images" / split) as beside:
        beside.mkdir(parents=True)
        listed = zip(images["image"], images["tags"], files, strict=True)
        for image, tags, file in progress(list(listed), "cut"):
            try:
                pixels = _read_unlike_a_tile(image, file)
            except UserError as error:
                problems.append(str(error))
                continue
            sizes[image] = pixels.shape[:2]
            for name, tile in named_tiles(image, *pixels.shape[:2], spec):
                path = beside / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels[tile.part]).save(path, compress_level=1)
                rows.append((name, f"images/{split}/{name}.png", split, tags))
        raise_together(problems)
        if spec.has_truth and split != "ood":
            _check_masks(spec, images, sizes, classes)
    return pd.DataFrame(rows, columns=["image", "path", "split", "tags"])


def named_tiles(image: str, height: int, width: int, spec: Tiled) -> list[tuple[str, Tile]]:
    """The tiles of an image with their names."""
    tiles = tiles_of(height, width, spec.tiles)
    if len(tiles) == 1:
        return [(image, tiles[0])]
    return [(f"{image}@x{tile.x:05}y{tile.y:05}", tile) for tile in tiles]


def list_masks(
    spec: Tiled, root: Path | str, index: pd.DataFrame, seed: int = 0, folder: str = "truth"
) -> pd.DataFrame:
    """Cut the masks `<image>.png` below `spec.masks` into those of the index's tiles.

    They are written into root/folder, with our ids. Raises UserError for invalid masks.
    """
    accept_huge_images()
    cuts = _cuts(index)
    names = list(dict.fromkeys(cut.image for cut in cuts))
    table = whole.mask_table(spec, spec.classes)
    masks = mask_files(names, [f"{name}.png" for name in names], spec.masks)
    masks = {row.image: row for row in masks.itertuples()}
    rows, seen, pixels = [], None, None
    with written_whole(Path(root) / folder) as beside:
        beside.mkdir(parents=True)
        for name, image, tile in progress(cuts, "cut masks"):
            if lacks := masks[image].lacks:
                rows.append((name, "", "", lacks))
                continue
            if image != seen:  # an image's tiles follow each other
                path = Path(spec.masks) / masks[image].mask
                seen, pixels = image, read_mask(path, table, decode(path).size[::-1])
            part = pixels[tile.part]
            if part.shape != (tile.height, tile.width):
                raise UserError(
                    f"{path}: smaller than its image, of which a tile begins at {tile.x},{tile.y}; "
                    "make the mask as large as the image"
                )
            path_of_tile = beside / f"{name}.png"
            path_of_tile.parent.mkdir(parents=True, exist_ok=True)
            write_palette_png(path_of_tile, np.ascontiguousarray(part))
            rows.append((name, f"{folder}/{name}.png", "", ""))
    return pd.DataFrame(rows, columns=["image", "mask", "instances", "lacks"])


def list_boxes(
    spec: Tiled, root: Path | str, index: pd.DataFrame, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The boxes of the table `spec.boxes`, cut to the tiles that hold a quarter of them or more.

    index: all tiles of a split.
    """
    cuts = _cuts(index)
    tiles: dict[str, list[Cut]] = {}
    for cut in cuts:
        tiles.setdefault(cut.image, []).append(cut)
    images = pd.DataFrame(
        {
            "image": list(tiles),
            "height": [max(c.tile.y + c.tile.height for c in own) for own in tiles.values()],
            "width": [max(c.tile.x + c.tile.width for c in own) for own in tiles.values()],
        }
    )
    boxes = []
    for row in whole.list_boxes(spec, spec.images, images, classes, seed).to_dict("records"):
        corners = [row[name] for name in CORNERS]
        for name, _, tile in tiles[row["image"]]:
            if (inside := _inside(corners, tile)) is not None:
                boxes.append(Box(name, row["class"], inside, row["difficult"], spec.boxes))
    return box_table(boxes, index)


def mask_table(spec: Tiled, classes: Sequence[str]) -> np.ndarray:
    """The identity: the tiles' masks hold our ids."""
    return plain_table(len(classes))


def list_warnings(spec: Tiled) -> list[Warned]:
    """As for kind `folder`."""
    return whole.list_warnings(spec)


def _read_unlike_a_tile(image: str, file) -> np.ndarray:
    if PLACE.fullmatch(image):
        raise UserError(f"image '{image}' has the name of a tile of another; rename it")
    return read_image(file)


def _check_masks(spec: Tiled, images: pd.DataFrame, sizes: dict, classes: Sequence[str]) -> None:
    """Check the masks of whole images, so that a wrong one stops the run before any training."""
    names = images["image"].tolist()
    masks = mask_files(names, [f"{name}.png" for name in names], spec.masks)
    index = images.assign(
        height=[sizes[name][0] for name in names], width=[sizes[name][1] for name in names]
    )
    there = masks[masks["lacks"] == ""]
    table = whole.mask_table(spec, classes)
    check_masks(there, index, spec.masks, table, classes, threads=1)


def _cuts(index: pd.DataFrame) -> list[Cut]:
    cuts = []
    for name, height, width in zip(index["image"], index["height"], index["width"], strict=True):
        match = PLACE.fullmatch(name)
        image, x, y = (match[1], int(match[2]), int(match[3])) if match else (name, 0, 0)
        cuts.append(Cut(name, image, Tile(x, y, width, height)))
    return cuts


def _inside(corners: Sequence[int], tile: Tile) -> tuple[int, int, int, int] | None:
    """The part of a box in a tile, in its pixels; None if it is less than `LEAST` of the box."""
    x1, y1, x2, y2 = corners
    left, right = max(x1, tile.x), min(x2, tile.x + tile.width - 1)
    upper, lower = max(y1, tile.y), min(y2, tile.y + tile.height - 1)
    if right < left or lower < upper:
        return None
    area = (right - left + 1) * (lower - upper + 1)
    if area < LEAST * (x2 - x1 + 1) * (y2 - y1 + 1):
        return None
    return left - tile.x, upper - tile.y, right - tile.x, lower - tile.y
