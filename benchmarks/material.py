"""Images, maps and masks that look like real ones to what is measured: smooth, and mostly zero."""

import numpy as np

from tags2masks.masks.seeds import upsample


def smooth_maps(rng: np.random.Generator, classes: int, height: int, width: int) -> np.ndarray:
    """float32 [classes, height, width], 0 to 1: as CAM leaves them at 1/4 of the image's size.

    ReLU'd noise on the grids of four scales (a feature is 4, 8, 8/3 or 2 cells wide) around a
    random spot, stretched and summed, each map divided by its maximum.
    """
    total = np.zeros((classes, height, width), np.float32)
    y, x = np.mgrid[:height, :width] / max(height, width)
    for map_ in total:
        middle = rng.uniform(0.2, 0.8, 2) * (height, width) / max(height, width)
        distance = np.hypot(y - middle[0], x - middle[1])
        for cell in (4, 8, 8 / 3, 2):
            grid = (1, max(1, round(height / cell)), max(1, round(width / cell)))
            noise = upsample(rng.random(grid), (height, width))[0]
            map_ += np.maximum(0, noise - 2 * distance)
    return total / total.max(axis=(1, 2), keepdims=True)


def smooth_mask(maps: np.ndarray, class_ids: list[int], size: tuple[int, int]) -> np.ndarray:
    """uint8 [H, W]: a truth that the maps fit roughly, with an ignored border of two pixels."""
    scores = upsample(maps, size)
    mask = np.array(class_ids, np.uint8)[scores.argmax(axis=0)]
    mask[scores.max(axis=0) < 0.4] = 0
    mask[:2] = mask[-2:] = 255
    mask[:, :2] = mask[:, -2:] = 255
    return mask
