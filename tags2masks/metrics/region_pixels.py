"""The pixels of one object in the four regions of high and low saliency, in and outside of DR.

Source: Maruf et al., "Beyond discriminative regions" (2023), section 3.1, figures 1 and 4. A true
pixel of a class has a CAM and a map (there, of saliency); their distances from the thresholds,
CAM − 0.25 and map − 0.15, are the values of the paper's hyperplanes (eq. 7 and 8), and their signs
are the pixel's region.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.metrics.regions import CAM_THRESHOLD, MAP_THRESHOLD

NAMES = ("hsr_dr", "lsr_dr", "hsr_ndr", "lsr_ndr")  # their numbers are 1 to 4
COLUMNS = ("image", "class", "pixels", *NAMES)


def largest(truth: np.ndarray, class_ids: Sequence[int]) -> int | None:
    """Of these ids that of the most pixels in truth, uint8 [H, W]; None where none occurs."""
    counts = [int((truth == number).sum()) for number in class_ids]
    return class_ids[int(np.argmax(counts))] if any(counts) else None


def distances(cam: np.ndarray, scores: np.ndarray, of_class: np.ndarray) -> np.ndarray:
    """CAM − 0.25 and map − 0.15: float32 [2, H, W], NaN outside the class.

    cam, scores: float [H, W] in 0 to 1, of the class; of_class: [H, W], its true pixels are not 0.
    """
    both = np.stack([cam - CAM_THRESHOLD, scores - MAP_THRESHOLD]).astype(np.float32)
    return np.where(of_class != 0, both, np.float32(np.nan))


def region_numbers(found: np.ndarray) -> np.ndarray:
    """The region of each pixel, uint8 [H, W], 1 to 4 in the order of NAMES; 0 outside the class.

    found: from `distances`.
    """
    cam, scores = found
    numbers = 1 + (scores < 0) + 2 * (cam < 0)
    return np.where(np.isnan(cam), 0, numbers).astype(np.uint8)


def shares(found: np.ndarray) -> list[float]:
    """Each region's share of the class's pixels, in the order of NAMES; found has such pixels."""
    counts = np.bincount(region_numbers(found).ravel(), minlength=5)[1:]
    return (counts / counts.sum()).tolist()
