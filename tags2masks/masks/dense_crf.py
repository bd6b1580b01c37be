"""Dense conditional random fields (Krähenbühl & Koltun, NIPS 2011), as seeds and networks use them.

No torch here: this runs in every worker.
"""

import numpy as np
from pydensecrf.densecrf import DenseCRF2D

from tags2masks.config.masks import DenseCrf
from tags2masks.errors import UserError

SMALLEST = 1e-5  # a probability of 0 would be an infinite energy; pydensecrf's own bound


def mean_field(image: np.ndarray, unary: np.ndarray, spec: DenseCrf) -> np.ndarray:
    """float32 [L, H, W]: each pixel's probability of each of L >= 2 labels under the field.

    image: uint8 [H, W, 3]; unary: float32 [L, H · W], energies: -log p of each label by itself.
    Raises UserError when the result is not finite.
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
    probabilities = np.array(field.inference(spec.iterations)).reshape(len(unary), height, width)
    if not np.isfinite(probabilities).all():
        raise UserError(
            f"the CRF gave no finite numbers; lower compat, {spec.gaussian.compat} of gaussian and "
            f"{spec.bilateral.compat} of bilateral"
        )
    return probabilities


def on_probabilities(image: np.ndarray, probabilities: np.ndarray, spec: DenseCrf) -> np.ndarray:
    """float32 [L, H, W]: probabilities under the field, from those that a network or maps give.

    image: uint8 [H, W, 3]; probabilities: float [L, H, W], 0..1; 1e-5 is the least that counts.
    """
    unary = -np.log(probabilities.clip(SMALLEST, 1)).reshape(len(probabilities), -1)
    return mean_field(image, unary.astype(np.float32), spec)


def refined(item: tuple[np.ndarray, np.ndarray], spec: DenseCrf) -> np.ndarray:
    """uint8 [H, W]: the most probable labels; item: image and probabilities, as above."""
    return on_probabilities(*item, spec).argmax(axis=0).astype(np.uint8)
