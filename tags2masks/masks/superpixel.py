"""Masks of superpixels: the mean score of each superpixel, then a constant background score.

Source: Maruf et al., "Beyond discriminative regions" (2023), appendix B.3.3, with superpixels of
Felzenszwalb & Huttenlocher (IJCV 2004) from scikit-image. The paper gives no parameters of the
segmentation; the defaults are those of scikit-image's example.
"""

from collections.abc import Sequence

import numpy as np
from skimage.segmentation import felzenszwalb

from tags2masks.config.masks import Superpixel
from tags2masks.masks.seeds import seed, upsample


def make_mask(
    image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Superpixel
) -> np.ndarray:
    """The mask, uint8 [H, W]: per superpixel the class of the highest mean, or 0 for background.

    image: uint8 [H, W, 3]; maps: float16 [K, h, w]; class_ids: their K mask ids.
    Raises UserError as `seeds.upsample`.
    """
    return seed(scores(image, maps, spec), class_ids, spec.background_score)


def scores(image: np.ndarray, maps: np.ndarray, spec: Superpixel) -> np.ndarray:
    """The means of superpixels, float32 [K, H, W], 0..1; arguments as for `make_mask`."""
    full = upsample(maps, image.shape[:2])
    segments = felzenszwalb(image, scale=spec.scale, sigma=spec.sigma, min_size=spec.min_size)
    return segment_means(full, segments)


def segment_means(scores: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Replace every score by the mean over its segment: float32 [K, H, W].

    scores: float [K, H, W]; segments: integers [H, W], 0 and up.
    """
    sizes = np.maximum(np.bincount(segments.ravel()), 1)
    means = [np.bincount(segments.ravel(), layer.ravel()) / sizes for layer in scores]
    return np.array(means, np.float32).reshape(len(scores), len(sizes))[:, segments]
