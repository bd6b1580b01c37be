"""Superpixels (Felzenszwalb & Huttenlocher, IJCV 2004) of scikit-image as segments."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from skimage.segmentation import felzenszwalb

from tags2masks.config.segments import Felzenszwalb
from tags2masks.data.images import ImageFile, read_image
from tags2masks.parallel import map_ordered
from tags2masks.segments.sources import Work, parts_of


def find(work: Work, spec: Felzenszwalb) -> Iterator[np.ndarray]:
    """The superpixels of each image, bool [n, H, W], of which each pixel is in one.

    Raises UserError as `read_image`.
    """
    labels = map_ordered(
        partial(superpixels, spec=spec),
        zip(work.files, work.sizes, strict=True),
        workers=work.machine.threads,
        scheduler=work.dask,
        batch=spec.batch_size,
        desc="superpixels",
        total=len(work.rows),
    )
    return map(parts_of, labels)


def superpixels(image: tuple[ImageFile, tuple[int, int]], spec: Felzenszwalb) -> np.ndarray:
    """The number of each pixel's superpixel, int [H, W]; image: its file, and its size."""
    pixels = read_image(*image)
    return felzenszwalb(pixels, scale=spec.scale, sigma=spec.sigma, min_size=spec.min_size)
