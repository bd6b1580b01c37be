"""Shapes of annotation tools as polygons and run lengths of COCO."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

CORNERS_OF_A_CIRCLE = 64


def ellipse(
    x: float, y: float, width: float, height: float, degrees: float = 0
) -> list[list[float]]:
    """An ellipse around x, y as a polygon; width, height: its half axes; degrees: clockwise."""
    turn = math.radians(degrees)
    points = []
    for step in range(CORNERS_OF_A_CIRCLE):
        angle = 2 * math.pi * step / CORNERS_OF_A_CIRCLE
        along, across = width * math.cos(angle), height * math.sin(angle)
        points += [
            x + along * math.cos(turn) - across * math.sin(turn),
            y + along * math.sin(turn) + across * math.cos(turn),
        ]
    return [points]


def rectangle(
    x: float, y: float, width: float, height: float, degrees: float = 0
) -> list[list[float]]:
    """A rectangle with the corner x, y, turned clockwise around it, as a polygon."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = ((0, 0), (width, 0), (width, height), (0, height))
    return [
        [
            value
            for along, down in corners
            for value in (x + along * cos - down * sin, y + along * sin + down * cos)
        ]
    ]


def edges(polygons: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    """The smallest box around polygons: x1, y1, x2, y2."""
    xs = [value for polygon in polygons for value in polygon[::2]]
    ys = [value for polygon in polygons for value in polygon[1::2]]
    return min(xs), min(ys), max(xs), max(ys)


def run_lengths(region: np.ndarray) -> dict:
    """A region, bool [h, w], as COCO's compressed RLE."""
    code = coco_mask.encode(np.asfortranarray(region, np.uint8))
    return {"size": list(region.shape), "counts": code["counts"].decode("ascii")}


def check_size(size: tuple[int, int]) -> None:
    """Raise ValueError for a size (height, width) that no image has that can be read."""
    if min(size) < 1 or size[0] * size[1] > (Image.MAX_IMAGE_PIXELS or math.inf):
        raise ValueError(f"an image of {size[1]} × {size[0]} pixels")


def pasted(part: np.ndarray, left: int, top: int, size: tuple[int, int]) -> np.ndarray:
    """A part, bool [h, w], in an image of this size; raises ValueError if it does not fit."""
    check_size(size)
    region = np.zeros(size, bool)
    height, width = part.shape
    if left < 0 or top < 0 or left + width > size[1] or top + height > size[0]:
        raise ValueError("a mask that leaves the image")
    region[top : top + height, left : left + width] = part
    return region
