"""Masks of whole superpixels: the mean score of each, then a constant background score.

Source: Maruf et al., "Beyond discriminative regions" (2023), appendix B.3.3, on the segments of
Felzenszwalb & Huttenlocher (IJCV 2004) as scikit-image makes them. The paper names no parameters of
the segmentation; the defaults are those of scikit-image's own example.
"""

from collections.abc import Sequence

import numpy as np
from skimage.segmentation import felzenszwalb

from tags2masks.config.masks import Superpixel
from tags2masks.masks.seeds import seed, upsample

READS_IMAGES = True


def make_mask(
    image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Superpixel
) -> np.ndarray:
    """uint8 [H, W]: each superpixel the class of the highest mean, if it beats the background.

    image: uint8 [H, W, 3]; maps: float16 [K, h, w]; class_ids: their K mask ids.
    Raises UserError as `seeds.upsample` does.
    """
    return seed(scores(image, maps, spec), class_ids, spec.background_score)


def scores(image: np.ndarray, maps: np.ndarray, spec: Superpixel) -> np.ndarray:
    """float32 [K, H, W], 0..1: means of superpixels; arguments as for `make_mask`."""
    full = upsample(maps, image.shape[:2])
    segments = felzenszwalb(image, scale=spec.scale, sigma=spec.sigma, min_size=spec.min_size)
    return segment_means(full, segments)


def segment_means(scores: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """float32 [K, H, W]: every score replaced by the mean over its segment.

    scores: float [K, H, W]; segments: integers [H, W], 0 and up.
    """
    sizes = np.maximum(np.bincount(segments.ravel()), 1)
    means = [np.bincount(segments.ravel(), layer.ravel()) / sizes for layer in scores]
    return np.array(means, np.float32).reshape(len(scores), len(sizes))[:, segments]
