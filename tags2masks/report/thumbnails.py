"""Images and masks of a contact sheet: small files, drawn apart so that masks can be hidden."""

import io

import numpy as np
from PIL import Image

from tags2masks.data.images import ImageFile, read_image
from tags2masks.report.overlays import paint

SUFFIXES = {"images": ".jpg", "masks": ".png"}


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


def _size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height with this longer side."""
    factor = longest / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _file(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
