"""Scenes of the embedded data set: real handwritten digits on photographed textures.

The digits are scikit-learn's 1,797 digits of 8 × 8 pixels (UCI optical recognition). The
photographs are part of the scikit-image package; nothing is downloaded. Brick, grass and gravel are
grey there and get a tint, so that textures differ in colour. Train and val use different digits and
different parts of the photographs.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from sklearn.datasets import load_digits

from tags2masks.config.digits import DIGIT_NAMES, Digits
from tags2masks.data.index import SPLITS

TRIES = 40  # positions to try before a digit is left out
INK_LEVEL = 0.4  # threshold of ink in the 8 × 8 digits
LEAST_CONTRAST = 90  # grey levels between ink and background, if one of two ink levels reaches it


@dataclass(frozen=True)
class Texture:
    """A region of a photograph.

    box: left, top, right, bottom in pixels; zoom: its pixels per pixel of a scene; tint: factors
    of red, green and blue.
    """

    file: str
    box: tuple[int, int, int, int]
    zoom: float = 2
    tint: tuple[float, float, float] = (1, 1, 1)


# From a digit to its favourite texture.
TEXTURES = (
    Texture("brick.png", (0, 0, 512, 512), 2, (1.3, 0.85, 0.7)),
    Texture("grass.png", (0, 0, 512, 512), 2, (0.85, 1.15, 0.55)),
    Texture("gravel.png", (0, 0, 512, 512), 2, (1.08, 1.0, 0.9)),
    Texture("hubble_deep_field.jpg", (0, 0, 1000, 872), 2),
    Texture("ihc.png", (0, 0, 512, 512), 2),
    Texture("retina.jpg", (260, 260, 1150, 1150), 3),
    Texture("coins.png", (0, 0, 384, 303), 2),
    Texture("chelsea.png", (20, 0, 420, 300), 1.5),
    Texture("moon.png", (0, 0, 512, 512), 2),
    Texture("page.png", (0, 0, 384, 191), 1.5),
)


@dataclass(frozen=True)
class Scene:
    """An image with its truth.

    image: uint8 [s, s, 3]; mask: uint8 [s, s], 0 or 1 + the class's number; instances: uint8
    [s, s], 0 or 1, 2, … by digit; objects: per digit (class's number, (x1, y1, x2, y2)), pixels
    from 0, both corners inside.
    """

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    objects: list[tuple[int, tuple[int, int, int, int]]]


def draw_scene(spec: Digits, split: str, number: int, seed: int) -> Scene:
    """Draw a scene; it does not depend on the number of scenes.

    The background is the favourite texture of the first digit's class with probability
    `spec.favourite`, otherwise that of another class. Scenes of `ood` hold no digit.
    """
    rng = np.random.default_rng((seed, SPLITS.index(split), number))
    digits = tuple(DIGIT_NAMES.index(name) for name in spec.classes)
    smallest, largest = spec.digit_size
    count = 0 if split == "ood" else int(rng.integers(1, spec.most_digits + 1))
    kinds = rng.integers(len(digits), size=count)
    texture = _choose_texture(rng, digits, digits[kinds[0]] if count else None, spec.favourite)
    canvas = _background(rng, texture, split, spec.size)
    mask = np.zeros((spec.size, spec.size), np.uint8)
    instances = np.zeros_like(mask)
    objects = []
    for kind in map(int, kinds):
        coverage = _digit(rng, digits[kind], split, int(rng.integers(smallest, largest + 1)))
        place = _free_place(rng, coverage.shape, instances)
        if place is None:
            continue
        _ink(rng, canvas[place], coverage)
        drawn = coverage > 0.5
        mask[place][drawn] = kind + 1
        instances[place][drawn] = len(objects) + 1
        rows, columns = (np.flatnonzero(drawn.any(axis)) for axis in (1, 0))
        top, left = place[0].start, place[1].start
        corners = (left + columns[0], top + rows[0], left + columns[-1], top + rows[-1])
        objects.append((kind, tuple(map(int, corners))))
    return Scene(np.round(canvas).astype(np.uint8), mask, instances, objects)


def _choose_texture(
    rng: np.random.Generator, digits: tuple[int, ...], first: int | None, favourite: float
) -> int:
    if first is not None and rng.random() < favourite:
        return first
    others = [digit for digit in digits if digit != first] or [
        digit for digit in range(len(TEXTURES)) if digit != first
    ]
    return int(rng.choice(others))


@cache
def _photograph(number: int) -> np.ndarray:
    """The region of a texture, tinted: float32 [h, w, 3], 0 to 255."""
    texture = TEXTURES[number]
    path = Path(skimage.data.__file__).with_name(texture.file)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").crop(texture.box), np.float32)
    return np.clip(pixels * np.float32(texture.tint), 0, 255)


def _background(rng: np.random.Generator, number: int, split: str, size: int) -> np.ndarray:
    """A randomly placed, scaled, flipped and lit view of a texture: float32 [size, size, 3].

    Its left half belongs to train and ood, its right half to val.
    """
    photograph = _photograph(number)
    half = photograph.shape[1] // 2
    area = photograph[:, half:] if split == "val" else photograph[:, :half]
    side = round(min(*area.shape[:2], size * TEXTURES[number].zoom * rng.uniform(0.8, 1.2)))
    top, left = (int(rng.integers(room - side + 1)) for room in area.shape[:2])
    window = Image.fromarray(area[top : top + side, left : left + side].astype(np.uint8))
    if rng.random() < 0.5:
        window = window.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    view = window.resize((size, size), Image.Resampling.BICUBIC)
    return _light(rng, np.asarray(view, np.float32))


def _light(rng: np.random.Generator, view: np.ndarray) -> np.ndarray:
    return np.clip(view * rng.uniform(0.75, 1.15) + rng.uniform(-8, 8), 0, 255)


@cache
def _digit_pool(digit: int, split: str) -> np.ndarray:
    """The digits of a class for a split: float32 [n, 8, 8], 0 to 1.

    The file is sorted by writer, so that the two halves have few writers in common.
    """
    bunch = load_digits()
    images = bunch.images[bunch.target == digit].astype(np.float32) / 16
    half = len(images) // 2
    return images[:half] if split == "train" else images[half:]


def _digit(rng: np.random.Generator, digit: int, split: str, side: int) -> np.ndarray:
    """The coverage of each pixel by a random digit's ink: float32 [h, w], max(h, w) = side."""
    pool = _digit_pool(digit, split)
    raster = np.pad(pool[rng.integers(len(pool))], 2)
    scale = max(8, -(-2 * side // 8))
    large = Image.fromarray(raster).resize((12 * scale, 12 * scale), Image.Resampling.BICUBIC)
    large = large.rotate(rng.uniform(-10, 10), Image.Resampling.BILINEAR)
    ink = np.asarray(large) > INK_LEVEL
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    width, height = box[2] - box[0], box[3] - box[1]
    factor = side / max(width, height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    edges = Image.fromarray(ink.astype(np.float32))
    return np.asarray(edges.resize(size, Image.Resampling.BOX, box=box))


def _free_place(
    rng: np.random.Generator, shape: tuple[int, int], taken: np.ndarray
) -> tuple[slice, slice] | None:
    """A random free position for a digit, with a margin of one pixel; None if none is found."""
    for _ in range(TRIES):
        top, left = (
            int(rng.integers(room - side + 1))
            for room, side in zip(taken.shape, shape, strict=True)
        )
        bottom, right = top + shape[0], left + shape[1]
        if not taken[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1].any():
            return slice(top, bottom), slice(left, right)
    return None


def _ink(rng: np.random.Generator, canvas: np.ndarray, coverage: np.ndarray) -> None:
    """Blend a digit into the canvas, light or dark, in contrast to the background."""
    below = canvas[coverage > 0.5].mean()
    levels = rng.permutation([rng.uniform(205, 250), rng.uniform(5, 45)])
    contrasts = np.abs(levels - below)
    level = levels[0] if contrasts[0] >= LEAST_CONTRAST else levels[contrasts.argmax()]
    colour = np.clip(level + rng.uniform(-20, 20, size=3), 0, 255)
    share = coverage[..., None] * rng.uniform(0.88, 1)
    canvas[...] = canvas * (1 - share) + colour * share
