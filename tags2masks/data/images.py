"""Image files as arrays, and errors that name the file when one cannot be read."""

import hashlib
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tags2masks.errors import UserError
from tags2masks.given import read_given

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Told by a file's content. Of others Pillow would start programs (EPS: Ghostscript)."""

# What Pillow's decoders raise on damaged bytes.
DAMAGE = (
    OSError,
    SyntaxError,
    RuntimeError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    struct.error,
    zlib.error,
)


def read_image(path: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode an image to uint8 [h, w, 3], upright (its EXIF rotation applied).

    size: (height, width) that it had when it was listed, if that is known.

    16-bit grey is scaled to 8 bits, transparency is composited on white, of several frames the
    first counts, colour profiles are not applied.
    Raises UserError naming the file when it is absent, empty, damaged, no image of `FORMATS`, too
    large or of another size.
    """
    pixels = _pixels(Path(path), _read_bytes(Path(path)))
    if size is not None and pixels.shape[:2] != tuple(size):
        raise UserError(
            f"{path}: {pixels.shape[1]} × {pixels.shape[0]} pixels (upright), but {size[1]} × "
            f"{size[0]} when it was listed; restore it, or delete the tables of its data set in "
            "results (train.csv, val.csv) and run again"
        )
    return pixels


def inspect_image(path: Path | str) -> tuple[int, int, str]:
    """Height and width (upright), and the first 16 hex digits of sha256 over the file's bytes.

    Decodes the whole image, so that a damaged file is found now. Raises as `read_image` does.
    """
    data = _read_bytes(Path(path))
    height, width, _ = _pixels(Path(path), data).shape
    return height, width, hashlib.sha256(data).hexdigest()[:16]


def decode(path: Path | str) -> Image.Image:
    """The fully decoded image in the file's own mode, not turned upright.

    Raises UserError naming the file when it is absent, empty, damaged, no image or too large.
    """
    return _decode(Path(path), _read_bytes(Path(path)))


def _read_bytes(path: Path) -> bytes:
    try:
        data = read_given(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; restore it or take it off the list") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it readable") from None
    if not data:
        raise UserError(f"{path}: empty file; replace it or take it off the list")
    return data


def _decode(path: Path, data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
            # Between this and twice this Pillow would only warn.
            raise Image.DecompressionBombError
        image.load()
    except UnidentifiedImageError:
        raise UserError(
            f"{path}: not an image of a format that is read ({', '.join(FORMATS)}); replace it or "
            "take it off the list"
        ) from None
    except Image.DecompressionBombError:
        raise UserError(
            f"{path}: more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller"
        ) from None
    except DAMAGE as error:
        raise UserError(
            f"{path}: damaged or truncated image ({error}); replace it or take it off the list"
        ) from None
    return image


def _pixels(path: Path, data: bytes) -> np.ndarray:
    image = _decode(path, data)
    try:
        image = ImageOps.exif_transpose(image)
    except DAMAGE as error:
        raise UserError(
            f"{path}: its EXIF block is damaged ({error}); save the image again without it"
        ) from None
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        image = Image.fromarray(_to_8_bits(path, np.asarray(image)))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    try:
        return np.array(image.convert("RGB"))
    except ValueError as error:
        raise UserError(f"{path}: colour mode {image.mode} ({error}); save it as RGB") from None


def _to_8_bits(path: Path, values: np.ndarray) -> np.ndarray:
    """Scale 0..65535 to 0..255; Pillow's own conversion would clip at 255."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise UserError(
            f"{path}: {values.dtype} pixels from {values.min()} to {values.max()} have no agreed "
            "white; save it with 8 or 16 bits"
        )
    return np.round(values / 257).astype(np.uint8)
