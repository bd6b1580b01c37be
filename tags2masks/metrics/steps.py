"""How maps change over the steps of a method such as AdvCAM or RIB.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), sections 3.3 and
3.4; equation numbers are the thesis's. The input is what `keep_steps` stores: [k, T, h, w] of the k
tagged classes, in units of the first step's maximum, NaN for steps that were not made.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.mask_ids import IGNORED
from tags2masks.masks.seeds import seed
from tags2masks.metrics.confusion import class_mean, confusion, scores


def each_step(steps: np.ndarray) -> np.ndarray:
    """The map of every step, divided by its own maximum plus 1e-5: float32 [..., T, h, w], 0 to 1.

    That is CAM(x^t) of eq. 2.1.
    """
    return _normalized(steps.astype(np.float32))


def up_to_each_step(steps: np.ndarray) -> np.ndarray:
    """The method's maps if it ended at each step: float32 [..., T, h, w], 0 to 1.

    The maps of `each_step` are summed and divided by their maximum (eq. 3.3 with T = t). After an
    early exit a map does not change.
    """
    return _normalized(np.nan_to_num(each_step(steps)).cumsum(axis=-3))


def _normalized(maps: np.ndarray) -> np.ndarray:
    return maps / (maps.max(axis=(-2, -1), keepdims=True) + np.float32(1e-5))


def step_confusions(
    maps: np.ndarray,
    class_ids: Sequence[int],
    truth: np.ndarray,
    background_score: float,
    classes: int,
) -> np.ndarray:
    """An image's confusion matrix at each step: int64 [T, K + 1, K + 2], as `confusion` has it.

    maps: [k, T, H, W] in 0 to 1, of `each_step` or `up_to_each_step`, at the truth's size;
    class_ids: the k mask ids; truth: uint8 [H, W]. A step that was not made has no label.
    Matrices are summed over images before they are judged.
    Raises ValueError when shapes or ids do not fit.
    """
    matrices = []
    for step in np.moveaxis(maps, 1, 0):
        if np.isnan(step).any():
            labels = np.full(truth.shape, IGNORED, np.uint8)
        else:
            labels = seed(step, class_ids, background_score)
        matrices.append(confusion(truth, labels, classes))
    return np.stack(matrices)


def noise_proportion(matrices: np.ndarray) -> np.ndarray:
    """Of the pixels that are labelled as some class, the share that is background: float64 [...].

    matrices: [..., K + 1, K + 2]. NaN where no pixel is labelled as a class.
    The thesis says "the proportion of pixels that are classified as foreground but are actually
    background". It does not say of which pixels; here, of those classified as foreground:
    1 − foreground precision.
    """
    foreground = matrices[..., 1:-1]
    labelled = foreground.sum(axis=(-2, -1))
    noise = foreground[..., 0, :].sum(axis=-1)
    return np.where(labelled > 0, noise / np.maximum(labelled, 1), np.nan)


def step_miou(matrices: np.ndarray) -> np.ndarray:
    """Mean iou over the classes, background included: float64 [...].

    matrices: [..., K + 1, K + 2]. NaN where nothing is labelled at all.
    """
    mean = class_mean(scores(matrices)["iou"])
    return np.where(matrices[..., :-1].sum(axis=(-2, -1)) > 0, mean, np.nan)


def amplification(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The growth of every pixel of the discriminative and of the non-discriminative region.

    steps: [T, h, w], a class of an image, the maps of eq. 2.1 (`each_step`) or scores as they are
    stored. Returns two float64 arrays [pixels, T] of CAM(x^t) / CAM(x^0): of the pixels where
    CAM(x^0), divided by its maximum, is 0.5 or more, and of those where it is above 0.1 and below
    0.5. The thesis's ratios are means over the first axis, over the pixels of many images.
    """
    steps = steps.astype(np.float64)
    first = steps[0] / (steps[0].max() + 1e-5)
    regions = (first >= 0.5, (first > 0.1) & (first < 0.5))
    discriminative, other = ((steps[:, region] / steps[0, region]).T for region in regions)
    return discriminative, other
