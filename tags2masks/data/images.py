"""Reading of image files as arrays, with errors that name the file."""

import hashlib
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tags2masks.errors import UserError
from tags2masks.given import is_given, open_given, read_given

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Detected by content. For some other formats Pillow would start programs (EPS: Ghostscript)."""

SUFFIXES = frozenset(
    (
        ".apng", ".avif", ".avifs", ".bmp", ".gif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc",
        ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm",
        ".tif", ".tiff", ".webp",
    )
)  # fmt: skip
"""Suffixes of the files that count as images when a folder is searched: Pillow's of FORMATS."""

HUGE = 2**30
"""Most pixels of an image that is cut into tiles; others have Pillow's limit, 89 million."""

EXTRA_SAMPLES = 338  # the TIFF tag with the meaning of bands beyond the colours
ORIENTATION = 274  # the EXIF tag
COLOURS = 256  # of a palette, at most
IGNORE = "ignore"

# Exceptions of Pillow's decoders, and of numpy's, for damaged files.
DAMAGE = (
    zipfile.BadZipFile,
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


class Reading(NamedTuple):
    """How a data set's images are converted to three colours: the options `bands` and `alpha`."""

    bands: tuple[int, int, int] | None = None
    alpha: str = "#ffffff"


USUAL = Reading()


class ImageFile(NamedTuple):
    """An image's file and how to read it."""

    path: Path
    reading: Reading = USUAL


class Inspected(NamedTuple):
    """Height and width (upright), the first 16 hex digits of sha256 over the file's bytes, and the
    mean opacity (0 to 1); 1 for images that are not composited on a colour.
    """

    height: int
    width: int
    sha: str
    opacity: float


class Stored(NamedTuple):
    """How a file holds an image: Pillow's names of format and mode, whether EXIF turns or mirrors
    it, and its frames or pages.
    """

    format: str
    mode: str
    turned: bool
    frames: int


def accept_huge_images() -> None:
    """Let this process read images of up to `HUGE` pixels, which it holds in memory whole."""
    Image.MAX_IMAGE_PIXELS = HUGE


def read_image(file: Path | str | ImageFile, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode an image to uint8 [h, w, 3], upright (its EXIF rotation applied).

    size: the expected (height, width), as listed in the index.

    16-bit grey is scaled to 8 bits; transparent pixels are composited on white unless the file's
    reading says otherwise; only the first frame is read; colour profiles are not applied. A fourth
    band of a TIFF is alpha only if the file says so.
    Raises UserError naming the file if it is absent, empty, damaged, not in `FORMATS`, too large,
    of another size, or has fewer bands than the reading asks for.
    """
    file = file if isinstance(file, ImageFile) else ImageFile(Path(file))
    pixels = _pixels(file, _read_bytes(file.path))[0]
    if size is not None and pixels.shape[:2] != tuple(size):
        raise UserError(
            f"{file.path}: {pixels.shape[1]} × {pixels.shape[0]} pixels (upright), but {size[1]} × "
            f"{size[0]} when it was listed; restore it, or delete the tables of its data set in "
            "results (train.csv, val.csv) and run again"
        )
    return pixels


def inspect_image(file: Path | str | ImageFile) -> Inspected:
    """Size, digest and opacity of an image, for the index.

    Decodes the whole image, to find damaged files early. Raises as `read_image`.
    """
    file = file if isinstance(file, ImageFile) else ImageFile(Path(file))
    data = _read_bytes(file.path)
    pixels, opacity = _pixels(file, data)
    return Inspected(*pixels.shape[:2], hashlib.sha256(data).hexdigest()[:16], opacity)


def read_stored(path: Path | str) -> Stored:
    """How a file that `inspect_image` accepts holds its image; decodes no pixels."""
    with open_given(path) as file, Image.open(file, formats=FORMATS) as image:
        turned = image.getexif().get(ORIENTATION, 1) not in (0, 1)
        try:
            frames = getattr(image, "n_frames", 1)
        except (*DAMAGE, TypeError):  # a later page is cut off; the first is what is read
            frames = 2
        return Stored(image.format, image.mode, turned, frames)


def image_files(folder: Path) -> Iterator[Path]:
    """The files of a folder and its subfolders with a suffix of an image, in any order."""
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and is_given(path):
            yield path


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
            # Pillow only warns up to twice this size.
            raise Image.DecompressionBombError
        image.load()
        opacities = image.info.get("transparency")
        if isinstance(opacities, bytes) and len(opacities) > COLOURS:
            # Pillow loads it, and fails where the colours are asked for.
            raise ValueError(f"opacities of {len(opacities)} colours, {COLOURS} at most")
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


def _pixels(file: ImageFile, data: bytes) -> tuple[np.ndarray, float]:
    """The pixels and the opacity, as `Inspected` has it."""
    path, (bands, alpha) = file
    image = _decode(path, data if bands is None else _with_alpha_as_stored(data))
    no_alpha = image.format == "TIFF" and EXTRA_SAMPLES not in image.tag_v2
    try:
        image = ImageOps.exif_transpose(image)
    except DAMAGE as error:
        raise UserError(
            f"{path}: its EXIF block is damaged ({error}); save the image again without it"
        ) from None
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        image = Image.fromarray(_to_8_bits(path, np.asarray(image)))
    opacity = 1.0
    if bands is not None:
        image = _chosen(path, image, bands)
    elif image.has_transparency_data and not no_alpha:
        image = image.convert("RGBA")
        if alpha != IGNORE:
            opacity = float(np.asarray(image.getchannel("A")).mean()) / 255
            image = Image.alpha_composite(Image.new("RGBA", image.size, alpha), image)
    try:
        return np.array(image.convert("RGB")), opacity
    except ValueError as error:
        raise UserError(f"{path}: colour mode {image.mode} ({error}); save it as RGB") from None


def _chosen(path: Path, image: Image.Image, bands: tuple[int, int, int]) -> Image.Image:
    """Use three bands of an image as its colours; palette images are converted to colours first."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    there = image.split()
    if max(bands) >= len(there):
        raise UserError(
            f"{path}: the bands that can be read are {', '.join(image.getbands())}, but `bands` "
            f"asks for number {max(bands)} (from 0); correct it in the data set"
        )
    return Image.merge("RGB", [there[band].convert("L") for band in bands])


def _with_alpha_as_stored(data: bytes) -> bytes:
    """Mark the fourth band of a TIFF file as unassociated alpha.

    Then Pillow returns the band as it is stored; it would drop a band without a meaning. Other
    files are returned unchanged, and so are damaged ones, which the decoder will report.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return data
    try:
        (directory,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, _, count, first = struct.unpack_from(f"{order}HHII", data, entry)
            if tag == EXTRA_SAMPLES:
                changed = bytearray(data)
                struct.pack_into(f"{order}H", changed, entry + 8 if count <= 2 else first, 2)
                return bytes(changed)
    except struct.error:
        pass
    return data


def _to_8_bits(path: Path, values: np.ndarray) -> np.ndarray:
    """Scale 0..65535 to 0..255; Pillow's own conversion clips at 255."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise UserError(
            f"{path}: {values.dtype} pixels from {values.min()} to {values.max()} have no agreed "
            "white; save it with 8 or 16 bits"
        )
    return np.round(values / 257).astype(np.uint8)
