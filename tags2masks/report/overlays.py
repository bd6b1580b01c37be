"""Masks painted to lie over their images."""

import numpy as np

from tags2masks.mask_ids import IGNORED
from tags2masks.report.colours import HATCH, mask_colours

INSIDE, HATCHED = 96, 150  # opacity of 255; outlines are opaque
HALO = (255, 255, 255, 235)


def paint(ids: np.ndarray) -> np.ndarray:
    """A mask to lie over its image, uint8 [h, w, 4]: transparent where no class is.

    ids: uint8 [h, w], at the size of the picture. Each class has its colour in the report, opaque
    along its outline; around it is a white line. Ignored pixels are hatched.
    """
    shown = (ids > 0) & (ids < IGNORED)
    pixels = np.zeros((*ids.shape, 4), np.uint8)
    pixels[shown, :3] = mask_colours()[ids[shown]]
    pixels[shown, 3] = INSIDE
    ignored = ids == IGNORED
    if ignored.any():
        stripes = np.indices(ids.shape).sum(axis=0) % 6 < 3
        pixels[ignored & stripes] = (*HATCH[0], HATCHED)
        pixels[ignored & ~stripes] = (*HATCH[1], HATCHED)
    outline, halo = np.zeros_like(shown), np.zeros_like(shown)
    for axis in (0, 1):
        first, second = _neighbours(axis)
        differ = ids[first] != ids[second]
        for here, there in ((first, second), (second, first)):
            outline[here] |= differ & shown[here]
            halo[here] |= ~shown[here] & shown[there]
    pixels[halo] = HALO
    pixels[outline, 3] = 255
    return pixels


def _neighbours(axis: int) -> tuple[tuple, tuple]:
    """The places of all pairs of neighbours along an axis."""
    pairs = slice(None, -1), slice(1, None)
    return (
        tuple((one,) for one in pairs) if axis == 0 else tuple((slice(None), one) for one in pairs)
    )
