"""Dense conditional random fields (Krähenbühl & Koltun, NIPS 2011), as seeds and networks use them.

No torch here: this runs in every worker.
"""

import numpy as np
from pydensecrf.densecrf import DenseCRF2D

from tags2masks.config.masks import Crf
from tags2masks.config.segmenters import NetworkCrf

SMALLEST = 1e-5  # a probability of 0 would be an infinite energy; pydensecrf's own bound


def mean_field(image: np.ndarray, unary: np.ndarray, spec: Crf | NetworkCrf) -> np.ndarray:
    """float32 [L, H, W]: each pixel's probability of each of L >= 2 labels under the field.

    image: uint8 [H, W, 3]; unary: float32 [L, H · W], energies: -log p of each label by itself.
    """
    height, width = image.shape[:2]
    field = DenseCRF2D(width, height, len(unary))
    field.setUnaryEnergy(np.ascontiguousarray(unary))
    field.addPairwiseGaussian(sxy=spec.gaussian.sxy, compat=spec.gaussian.compat)
    field.addPairwiseBilateral(
        sxy=spec.bilateral.sxy,
        srgb=spec.bilateral.srgb,
        rgbim=np.ascontiguousarray(image),  # a view would be read as if it were one
        compat=spec.bilateral.compat,
    )
    return np.array(field.inference(spec.iterations)).reshape(len(unary), height, width)


def refined(item: tuple[np.ndarray, np.ndarray], spec: NetworkCrf) -> np.ndarray:
    """uint8 [H, W]: the most probable labels under the field on a network's probabilities.

    item: the image, uint8 [H, W, 3], and float32 [L, H, W] of sum 1; 1e-5 is the least that counts.
    """
    image, probabilities = item
    unary = -np.log(probabilities.clip(SMALLEST, 1)).reshape(len(probabilities), -1)
    return mean_field(image, unary, spec).argmax(axis=0).astype(np.uint8)
