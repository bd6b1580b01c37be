"""Where in the true objects the high values of their masks lie.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 5.5 and
figure 5.6 (a, b). Of a pixel x, r1 is the distance from the object's centroid, r2 that from its
contour, and its relative position R = r1 / (r1 + r2) in the direction of x from the centroid: R is
1 long on the contour, and shorter inside and outside.

The thesis does not say how a mask's object is found among the true ones. Here it is that of its
class whose box overlaps most with the mask's box, by an IoU of 0.5 or more; others have no places.
The centroid is that of the object's pixels; the contour is those with a neighbour, of four, outside
of the object or of the image.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

from tags2masks.instance_store import Corners, Instance

HEADS = ("box", "class")
BINS = 25  # along each axis of R, from −1 to 1
OVERLAP = 0.5
COLUMNS = ("kept", "x", "y", "pixels")


def true_object(box: Corners, class_id: int, instances: Sequence[Instance]) -> Instance | None:
    """The true object of the class whose box overlaps most with a box, by OVERLAP or more.

    box: x1, y1, x2, y2, both corners inclusive.
    """
    mine = [one for one in instances if one.class_id == class_id and not one.crowd]
    overlaps = [box_iou(box, one.box) for one in mine]
    best = int(np.argmax(overlaps)) if overlaps else 0
    return mine[best] if overlaps and overlaps[best] >= OVERLAP else None


def box_iou(one: Corners, other: Corners) -> float:
    """The IoU of two boxes whose corners are inclusive."""
    sides = [min(one[at + 2], other[at + 2]) - max(one[at], other[at]) + 1 for at in (0, 1)]
    both = max(0, sides[0]) * max(0, sides[1])
    areas = [(x2 - x1 + 1) * (y2 - y1 + 1) for x1, y1, x2, y2 in (one, other)]
    return both / (sum(areas) - both)


def relative_positions(mask: np.ndarray, high: np.ndarray) -> np.ndarray:
    """R of each high pixel, float64 [n, 2] as x to the right and y downwards, at most 1 long.

    mask: bool [H, W], the pixels of the object, some; high: bool [H, W].
    """
    contour = mask & ~binary_erosion(mask)
    r2 = distance_transform_edt(~contour)[high]
    offsets = (np.argwhere(high) - np.argwhere(mask).mean(0))[:, ::-1]
    r1 = np.hypot(*offsets.T)
    # The direction is the offset over r1, its length r1 / (r1 + r2); 0 at the centroid.
    return offsets / np.maximum(r1 + r2, 1e-12)[:, None]


def place_counts(mask: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The high pixels by R: int64 [BINS, BINS], rows by y; arguments of `relative_positions`."""
    places = ((relative_positions(mask, high) + 1) / 2 * BINS).astype(int).clip(0, BINS - 1)
    counts = np.bincount(places[:, 1] * BINS + places[:, 0], minlength=BINS**2)
    return counts.reshape(BINS, BINS)


def place_rows(head: str, counts: np.ndarray) -> Iterator[tuple]:
    """The rows (COLUMNS) of a kept head: the middles of the bins that have pixels."""
    middles = ((2 * np.arange(BINS) + 1) / BINS - 1).round(6)
    for row, column in np.argwhere(counts):
        yield head, middles[column], middles[row], counts[row, column]
