"""The dense CRF on one process and on two, as masks are made with it."""

from functools import partial

import numpy as np

from benchmarks.material import smooth_maps
from benchmarks.timing import Row, alternate, compared
from tags2masks.config.masks import Crf
from tags2masks.masks.crf import make_mask
from tags2masks.parallel import map_ordered

TITLE = "Dense CRF"
HEADINGS = ("two processes", "one process")
ABOUT = (
    "Masks of `crf` (ten iterations) of images of 375 × 500 pixels with maps of two classes, "
    "pydensecrf's arithmetic. Starting the processes is part of the time. Two cores can do no "
    "better than 2."
)
Item = tuple[np.ndarray, np.ndarray]


def make_items(count: int, height: int, width: int) -> list[Item]:
    """Images of coarse noise, and maps of two classes at a quarter of the size."""
    rng = np.random.default_rng(0)
    side = 25
    blocks = rng.integers(0, 256, (count, height // side, width // side, 3)).astype(np.uint8)
    images = blocks.repeat(side, axis=1).repeat(side, axis=2)
    maps = smooth_maps(rng, 2 * count, -(-height // 4), -(-width // 4)).astype(np.float16)
    return [(image, maps[2 * n : 2 * n + 2]) for n, image in enumerate(images)]


def mask_of(item: Item) -> np.ndarray:
    """An image's mask; runs in a worker process."""
    return make_mask(*item, [1, 2], Crf(background_score=0.3))


def masks(items: list[Item], workers: int) -> list[np.ndarray]:
    """All masks, in order."""
    return list(map_ordered(mask_of, items, workers=workers, desc="crf"))


def measure(quick: bool) -> list[Row]:
    """Seconds for all images."""
    count, height, width = (2, 50, 75) if quick else (100, 375, 500)
    items = make_items(count, height, width)
    for first, second in zip(masks(items, 1), masks(items, 2), strict=True):
        np.testing.assert_array_equal(first, second)
    times = alternate([partial(masks, items, 2), partial(masks, items, 1)], 2 if quick else 3)
    rates = [count / np.median(seconds) for seconds in times]
    note = f"{rates[0]:.3g} images/s against {rates[1]:.3g}"
    return [compared(f"{count} images of {height} × {width}", *times, note=note)]
