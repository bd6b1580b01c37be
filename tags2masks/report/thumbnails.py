"""Images and masks of a contact sheet: small files, drawn apart so that masks can be hidden."""

import io

import numpy as np
from PIL import Image

from tags2masks.data.images import ImageFile, read_image
from tags2masks.mask_ids import IGNORED
from tags2masks.report.pictures import HATCH, mask_colours

SUFFIXES = {"images": ".jpg", "masks": ".png"}
INSIDE, HATCHED = 96, 150  # opacity of 255; outlines are opaque
HALO = (255, 255, 255, 235)


def photograph(item: tuple[ImageFile, tuple[int, int]], longest: int) -> bytes:
    """A JPEG file of an image, its longer side at most `longest` pixels; item: file, (H, W)."""
    image = Image.fromarray(read_image(*item))
    if max(image.size) > longest:
        image = image.resize(_size(image.size, longest), Image.Resampling.LANCZOS, reducing_gap=3)
    return _file(image, "JPEG", quality=80, optimize=True)


def overlay(mask: np.ndarray, longest: int) -> bytes:
    """A PNG file of a mask, its longer side `longest` pixels, transparent where no class is.

    mask: uint8 [H, W]. Each class has its colour in the report, opaque along its outline; around it
    is a white line. Ignored pixels are hatched. Small masks are enlarged, so that outlines of all
    are equally thin.
    """
    image = Image.fromarray(np.ascontiguousarray(mask))
    image = image.resize(_size(image.size, longest), Image.Resampling.NEAREST)
    return _file(Image.fromarray(paint(np.asarray(image)), "RGBA"), "PNG", optimize=True)


def paint(ids: np.ndarray) -> np.ndarray:
    """The pixels of `overlay`, uint8 [h, w, 4], of ids at the size of the picture."""
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


def _size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height with this longer side."""
    factor = longest / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _file(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
