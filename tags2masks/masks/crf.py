"""Masks by a dense conditional random field on the seeds (Krähenbühl & Koltun, NIPS 2011)."""

from collections.abc import Sequence

import numpy as np
from pydensecrf.densecrf import DenseCRF2D
from pydensecrf.utils import unary_from_labels, unary_from_softmax

from tags2masks.config.masks import Bilateral, Crf, Gaussian, LabelCrf
from tags2masks.masks.seeds import seed, upsample

READS_IMAGES = True


def make_mask(
    image: np.ndarray, maps: np.ndarray, class_ids: Sequence[int], spec: Crf
) -> np.ndarray:
    """uint8 [H, W]: the seed at `background_score`, its borders moved to the image's edges.

    image: uint8 [H, W, 3]; maps: float16 [K, h, w]; class_ids: their K mask ids.
    Raises UserError as `seeds.upsample` does.
    """
    return refine(
        image, seed(upsample(maps, image.shape[:2]), class_ids, spec.background_score), spec
    )


def refine(image: np.ndarray, labels: np.ndarray, spec: LabelCrf) -> np.ndarray:
    """The most probable labels under the field, uint8 [H, W], among those that the seed has.

    image: uint8 [H, W, 3]; labels: uint8 [H, W], the seed.
    A seed of one label comes back as it is: nothing is left to decide, and what is not trusted in
    it could be shared out to no other label.
    """
    present = np.unique(labels)
    if len(present) == 1:
        return labels
    return present[probabilities(image, labels, spec).argmax(axis=0)]


def probabilities(image: np.ndarray, labels: np.ndarray, spec: LabelCrf) -> np.ndarray:
    """float32 [L, H, W]: each pixel's probability of the L >= 2 labels in `labels`, ascending."""
    present, compact = np.unique(labels, return_inverse=True)
    energy = unary_from_labels(compact, len(present), spec.gt_prob, zero_unsure=False)
    return _infer(image, energy, spec.gaussian, spec.bilateral, spec.iterations)


def refine_probabilities(
    image: np.ndarray,
    probabilities: np.ndarray,
    gaussian: Gaussian,
    bilateral: Bilateral,
    iterations: int,
) -> np.ndarray:
    """Probabilities under a field whose unary energy is -log of those given: float32 [L, H, W].

    image: uint8 [H, W, 3]; probabilities: float [L, H, W] in 0 to 1, taken to be 1e-5 at least.
    """
    energy = np.ascontiguousarray(unary_from_softmax(probabilities))
    return _infer(image, energy, gaussian, bilateral, iterations)


def _infer(
    image: np.ndarray, energy: np.ndarray, gaussian: Gaussian, bilateral: Bilateral, iterations: int
) -> np.ndarray:
    """Mean-field inference, float32 [L, H, W]; energy: float32 [L, H * W]."""
    height, width = image.shape[:2]
    field = DenseCRF2D(width, height, len(energy))
    field.setUnaryEnergy(energy)
    field.addPairwiseGaussian(sxy=gaussian.sxy, compat=gaussian.compat)
    field.addPairwiseBilateral(
        sxy=bilateral.sxy,
        srgb=bilateral.srgb,
        rgbim=np.ascontiguousarray(image),  # a view would be read as if it were one
        compat=bilateral.compat,
    )
    return np.array(field.inference(iterations)).reshape(len(energy), height, width)
