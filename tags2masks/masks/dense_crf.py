"""Dense conditional random fields (Krähenbühl & Koltun, NIPS 2011).

Imports torch only for `backend: torch`: worker processes import this module.
"""

import numpy as np
from pydensecrf.densecrf import DenseCRF2D

from tags2masks.config.crf import DenseCrf
from tags2masks.errors import UserError

SMALLEST = 1e-5  # avoids the infinite energy of a probability of 0; pydensecrf's bound
IN_MEMORY = ("C_CONTIGUOUS", "WRITEABLE")  # pydensecrf ignores strides and refuses read-only arrays


def mean_field(image: np.ndarray, unary: np.ndarray, spec: DenseCrf) -> np.ndarray:
    """Mean-field probabilities of L ≥ 2 labels at each pixel: float32 [L, H, W].

    image: uint8 [H, W, 3]; unary: float32 [L, H · W], unary energies −log p; spec: also of the
    backend, and of its device.
    Raises UserError if the result is not finite.
    """
    if spec.backend == "torch":
        from tags2masks.masks import torch_crf  # lazy import: costs a process 400 MB

        probabilities = torch_crf.mean_field(image, unary, spec)
    else:
        probabilities = _by_pydensecrf(image, unary, spec)
    if not np.isfinite(probabilities).all():
        raise UserError(
            f"the CRF gave no finite numbers; lower compat, {spec.gaussian.compat} of gaussian and "
            f"{spec.bilateral.compat} of bilateral"
        )
    return probabilities


def _by_pydensecrf(image: np.ndarray, unary: np.ndarray, spec: DenseCrf) -> np.ndarray:
    height, width = image.shape[:2]
    field = DenseCRF2D(width, height, len(unary))
    field.setUnaryEnergy(np.require(unary, requirements=IN_MEMORY))
    field.addPairwiseGaussian(sxy=spec.gaussian.sxy, compat=spec.gaussian.compat)
    field.addPairwiseBilateral(
        sxy=spec.bilateral.sxy,
        srgb=spec.bilateral.srgb,
        rgbim=np.require(image, requirements=IN_MEMORY),
        compat=spec.bilateral.compat,
    )
    return np.array(field.inference(spec.iterations)).reshape(len(unary), height, width)


def on_probabilities(image: np.ndarray, probabilities: np.ndarray, spec: DenseCrf) -> np.ndarray:
    """Refine the probabilities of a network or of maps: float32 [L, H, W].

    image: uint8 [H, W, 3]; probabilities: float [L, H, W], 0..1, clipped to at least 1e-5.
    """
    unary = -np.log(probabilities.clip(SMALLEST, 1)).reshape(len(probabilities), -1)
    return mean_field(image, unary.astype(np.float32), spec)


def refined(item: tuple[np.ndarray, np.ndarray], spec: DenseCrf) -> np.ndarray:
    """The most probable labels, uint8 [H, W]; item: image and probabilities as for the former."""
    return on_probabilities(*item, spec).argmax(axis=0).astype(np.uint8)
