"""Masks from smoothed maps: a Gaussian filter, then a constant background score.

Source: Maruf et al., "Beyond discriminative regions" (2023), appendix B.3.2. The paper does not
give the padding; here the image is reflected at its border pixels, as in OpenCV and torchvision.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import correlate1d

from tags2masks.config.masks import Smooth
from tags2masks.masks.seeds import seed, upsample


def make_mask(
    image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Smooth
) -> np.ndarray:
    """The mask, uint8 [H, W]: the class of the best smoothed map, or 0 where background wins.

    image: uint8 [H, W, 3], any content; maps: float16 [K, h, w]; class_ids: their K mask ids.
    Raises UserError as `seeds.upsample`.
    """
    return seed(scores(image, maps, spec), class_ids, spec.background_score)


def scores(image: np.ndarray, maps: np.ndarray, spec: Smooth) -> np.ndarray:
    """The filtered maps at full size, float32 [K, H, W], 0..1; arguments as for `make_mask`."""
    full = upsample(maps, image.shape[:2])
    weights = kernel(spec.kernel, spec.sigma)
    for axis in (1, 2):
        full = correlate1d(full, weights, axis, mode="mirror")
    return full.clip(0, 1)


def kernel(side: int, sigma: float) -> np.ndarray:
    """A Gaussian kernel of sum 1, sampled at whole pixels, float64 [side]."""
    offsets = np.arange(side) - side // 2
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()
