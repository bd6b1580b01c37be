"""The mean of maps of several chains.

Each class's map is divided by its maximum in its chain already, so that chains count alike; so is
their mean, as every stored map is.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.maps import MeanMaps
from tags2masks.masks.seeds import upsample

SMALLEST = 1e-5  # as in other maps


def average(maps: Sequence[np.ndarray], spec: MeanMaps) -> np.ndarray:
    """Float16 [K, h, w] in 0 to 1, at the size of the largest of them.

    maps: of each chain those of the same K classes, float16 [K, h, w] at any stride. Raises
    UserError as `seeds.upsample`.
    """
    size = max(one.shape[1:] for one in maps)
    mean = sum(upsample(one, size) for one in maps) / len(maps)
    if mean.size:
        mean /= mean.max((1, 2), keepdims=True) + SMALLEST
    return mean.astype(np.float16)
