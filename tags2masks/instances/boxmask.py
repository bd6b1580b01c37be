"""Masks of objects from their BBAMs (Lee et al., CVPR 2021), certain and possible ones.

Sources: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 5.3.3,
and the public code, which differ. In the text (`thresholds: value`) the map is refined by a CRF,
and pixels above θ_fg = 0.8 are certain, those from θ_bg = 0.2 on possible. In the code
(`thresholds: share`) a threshold θ is a share of the box: its highest values, 1 − θ of its pixels,
are set to 1, with the others in proportion; the map is blurred, cut to the box and refined by the
CRF, and pixels of more than 0.9 are the object's. It has θ of 0.85 and of 0.2.

Small boxes and empty maps are treated as in the code, for both. It leaves out an object whose map
is empty if no filled box helps; here a level without a pixel is the other one, and the whole box if
both have none. Masks are cut to their boxes after the CRF too, and the map's minimum is not
subtracted, which is 0 but for maps without an empty cell. Corners are inclusive, so that boxes are
a pixel larger.

Does not import torch: worker processes import this module.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from tags2masks.config.instances import BoxMask
from tags2masks.instances.proposals import Proposals, refined
from tags2masks.instances.windows import around, filled
from tags2masks.masks.dense_crf import on_probabilities
from tags2masks.object_maps import ObjectMap

EMPTY, SMALL = 1 / 5, 1 / 3  # shares of a box that a mask must exceed


def make_masks(
    image: np.ndarray,
    objects: Sequence[ObjectMap],
    seen: tuple[int, int],
    proposals: Proposals | None,
    spec: BoxMask,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The mask of each object and its possible extent, bool [H, W], a superset of it in the box.

    image: uint8 [H, W, 3]; seen: the (height, width) of the image on which the objects' grids lie;
    proposals: of the image, None to refine by none. Raises UserError as `dense_crf.mean_field`.
    """
    size = image.shape[:2]
    for each in objects:
        inside = filled(each.box, size)
        values = np.where(inside, enlarged(each.grid, size, seen), 0)
        levels = _levels(image, each, values, inside, spec)
        if proposals is not None and inside.sum() >= spec.least_area:
            levels = [refined(level, inside, proposals, spec.inside) for level in levels]
        mask, possible = levels
        if not mask.any():
            mask = possible if possible.any() else inside
        yield mask, mask | possible


def enlarged(grid: np.ndarray, size: tuple[int, int], seen: tuple[int, int]) -> np.ndarray:
    """A mask on its grid, at the centres of an image's pixels: float64 [H, W], bilinearly.

    grid: [h, w], whose corners lie on those of the image of size seen; size: (H, W).
    """
    down, across = (
        _weights(cells, *lengths) for cells, *lengths in zip(grid.shape, size, seen, strict=True)
    )
    return down @ grid.astype(np.float64) @ across.T


def _weights(cells: int, length: int, seen: int) -> np.ndarray:
    """The weight of each cell at each pixel, [length, cells]."""
    centres = (np.arange(length) + 0.5) * (seen / length) - 0.5
    places = centres.clip(0, seen - 1) * ((cells - 1) / max(1, seen - 1))
    known = np.arange(cells)
    return np.stack([np.interp(places, known, known == cell) for cell in known], axis=1)


def _levels(
    image: np.ndarray, each: ObjectMap, values: np.ndarray, inside: np.ndarray, spec: BoxMask
) -> list[np.ndarray]:
    """The certain and the possible pixels, before proposals; values: the map, in the box alone."""
    if values.max() == 0:
        empty = np.zeros_like(inside)
        return [_filled_again(image, each, empty, inside, EMPTY, spec)] * 2
    if spec.thresholds == "value":
        after = _refined(image, each, values, inside, spec)
        levels = [after > spec.foreground, after >= spec.background]
    else:
        shares = (saturated(values, inside, theta) for theta in (spec.foreground, spec.background))
        starts = (blurred(share, inside, spec.blur) for share in shares)
        levels = [_refined(image, each, start, inside, spec) > spec.certainty for start in starts]
    levels = [level & inside for level in levels]
    if inside.mean() > spec.small:
        return levels
    return [
        level
        if level.sum() > EMPTY * inside.sum()
        else _filled_again(image, each, level, inside, SMALL, spec)
        for level in levels
    ]


def saturated(values: np.ndarray, inside: np.ndarray, theta: float) -> np.ndarray:
    """The map with 1 − theta of the box's pixels, those of the highest values, at 1.

    values: [H, W], 0 outside the box. The others are in proportion to the highest of their own.
    """
    ranked = np.sort(values[inside])[::-1]
    place = int(ranked.size * (1 - theta) + 1e-6)  # of 100 and 0.9, 9.999… is 10
    return np.minimum(values / (ranked[min(place, ranked.size - 1)] + 1e-8), 1)


def blurred(values: np.ndarray, inside: np.ndarray, blur: float | None) -> np.ndarray:
    """The map after a Gaussian blur, cut to the box, over its maximum.

    blur: the deviation in pixels; None: 16 + 48 · √(the box's share of the image), rounded down.
    """
    deviation = int(16 + 48 * inside.mean() ** 0.5) if blur is None else blur
    if deviation:
        values = gaussian_filter(values, deviation, mode="mirror", truncate=1)
    values = np.where(inside, values, 0)
    return values / values.max()


def _filled_again(
    image: np.ndarray,
    each: ObjectMap,
    mask: np.ndarray,
    inside: np.ndarray,
    least: float,
    spec: BoxMask,
) -> np.ndarray:
    """The mask from the box filled by the first of `fill` by which it covers more than `least`.

    What the mask has already stays at 1. If none of them does, it is the last one's.
    """
    for probability in spec.fill:
        start = np.where(mask, 1, probability) * inside
        found = inside & (_refined(image, each, start, inside, spec) > spec.certainty)
        if found.sum() > least * inside.sum():
            break
    return found


def _refined(
    image: np.ndarray, each: ObjectMap, start: np.ndarray, inside: np.ndarray, spec: BoxMask
) -> np.ndarray:
    """The CRF's probability of the object, float32 [H, W], 0 where it does not look.

    start: the probability before, [H, W], 0 outside the box.
    """
    size = inside.shape
    window = np.s_[:, :] if spec.margin is None else around(each.box, size, spec.margin)
    foreground = start[window].astype(np.float32)
    after = np.zeros(size, np.float32)
    after[window] = on_probabilities(image[window], np.stack([1 - foreground, foreground]), spec)[1]
    return after
