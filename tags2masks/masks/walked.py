"""Scores of maps after a random walk; in numpy, for worker processes."""

import numpy as np

from tags2masks.config.base import Block
from tags2masks.masks.seeds import upsample


def scores(image: np.ndarray, maps: np.ndarray, spec: Block) -> np.ndarray:
    """The maps at the image's size, divided by the highest score: float32 [N, H, W], 0..1.

    image: uint8 [H, W, 3], any content; maps: float16 [N, h, w].
    """
    full = upsample(maps, image.shape[:2])
    return full / full.max() if full.size and full.max() > 0 else full
