"""Images, maps and masks as thumbnails in the page, as data URIs."""

import base64
import colorsys
import hashlib
import io
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from tags2masks.instance_store import Corners, Instance
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.seeds import upsample
from tags2masks.report.colours import mask_colours
from tags2masks.report.overlays import paint

LONGEST = 240  # pixels of a thumbnail's long side
PATCH = 40  # pixels of a patch's side
SMALL = 128  # images up to this long side are enlarged in the page, pixel by pixel
# Of twelve hues, so that neighbours in the list differ most.
INSTANCE_COLOURS = tuple(
    tuple(round(255 * part) for part in colorsys.hsv_to_rgb(5 * at % 12 / 12, 0.75, 1))
    for at in range(12)
)


class Picture(NamedTuple):
    """A picture of the page; equal pictures have equal keys."""

    key: str
    uri: str
    width: int
    height: int
    small: bool


class Tile(NamedTuple):
    """A picture with its caption and alternative text."""

    picture: Picture
    title: str
    note: str
    alt: str


def image_picture(image: np.ndarray) -> Picture:
    """An image, uint8 [H, W, 3], as a JPEG thumbnail, or as PNG if it is small."""
    return _photograph(Image.fromarray(image))


def map_picture(image: np.ndarray, scores: np.ndarray) -> Picture:
    """Scores as a heat map over the grey image; high scores cover more of the image.

    image: uint8 [H, W, 3]; scores: float [h, w] in 0..1, at the stride they are stored at.
    """
    full = upsample(scores[None], image.shape[:2])[0][..., None]
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)[..., None] * 0.75
    heat = matplotlib.colormaps["inferno"](full[..., 0])[..., :3].astype(np.float32) * 255
    share = 0.85 * np.sqrt(full)
    return _photograph(
        Image.fromarray(np.round(grey * (1 - share) + heat * share).astype(np.uint8))
    )


def mask_picture(mask: np.ndarray) -> Picture:
    """A mask, uint8 [H, W], in the palette's colours; 0 is light grey, 255 is hatched."""
    image = Image.fromarray(np.ascontiguousarray(mask))
    ids = np.array(image.resize(_size(image), Image.Resampling.NEAREST))
    down, right = np.indices(ids.shape)
    # 254 does not occur in masks; it is used for the second grey of the hatching.
    ids[(ids == IGNORED) & ((down + right) % 6 < 3)] = 254
    picture = Image.fromarray(ids, "P")
    picture.putpalette(mask_colours().ravel().tolist())
    return _picture(picture, "PNG", optimize=True)


def overlay_picture(image: np.ndarray, mask: np.ndarray) -> Picture:
    """A mask, uint8 [H, W], over its image, uint8 [H, W, 3]; ignored pixels are hatched."""
    photograph = Image.fromarray(image)
    photograph = photograph.resize(_size(photograph), Image.Resampling.LANCZOS)
    ids = Image.fromarray(np.ascontiguousarray(mask))
    ids = np.asarray(ids.resize(photograph.size, Image.Resampling.NEAREST))
    photograph.paste(painted := Image.fromarray(paint(ids), "RGBA"), mask=painted)
    return _photograph(photograph)


def colours_picture(image: np.ndarray, numbers: np.ndarray, colours: np.ndarray) -> Picture:
    """Numbered parts over the grey image: uint8 [H, W]; 0 is no part.

    image: uint8 [H, W, 3]; colours: uint8 [n, 3], by the number.
    """
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)[..., None].repeat(3, 2)
    painted = 0.3 * grey + 0.7 * colours[numbers].astype(np.float32)
    canvas = np.where((numbers > 0)[..., None], painted, 0.75 * grey)
    return _photograph(Image.fromarray(np.round(canvas).astype(np.uint8)))


def instances_picture(image: np.ndarray, instances: Sequence[Instance]) -> Picture:
    """Instances in colours of their own over the grey image, the smallest on top, with their boxes.

    image: uint8 [H, W, 3]. A score is written into its box where it fits.
    """
    grey = Image.fromarray(image).convert("L").convert("RGB")
    canvas = np.asarray(grey.resize(_size(grey), Image.Resampling.LANCZOS), np.float32) * 0.75
    height, width = canvas.shape[:2]
    across, down = width / image.shape[1], height / image.shape[0]
    colours = [INSTANCE_COLOURS[at % len(INSTANCE_COLOURS)] for at in range(len(instances))]
    by_size = sorted(zip(instances, colours, strict=True), key=lambda pair: -_area(pair[0].box))
    for each, colour in by_size:
        mask = Image.fromarray(each.mask).resize((width, height), Image.Resampling.NEAREST)
        canvas[np.asarray(mask)] = 0.4 * canvas[np.asarray(mask)] + 0.6 * np.float32(colour)
    picture = Image.fromarray(np.round(canvas).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for each, colour in by_size:
        x1, y1, x2, y2 = each.box
        if _area(each.box):
            # A box may be narrower than a pixel of the picture.
            left, top = min(round(x1 * across), width - 1), min(round(y1 * down), height - 1)
            right = max(left, round((x2 + 1) * across - 1))
            bottom = max(top, round((y2 + 1) * down - 1))
            corners = [left, top, right, bottom]
            draw.rectangle(corners, outline=colour)
            said = f"{each.score:.2f}"
            left, top, right, bottom = draw.textbbox((corners[0] + 2, corners[1] + 1), said)
            if right < corners[2] and bottom < corners[3] and width > SMALL:
                draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=(0, 0, 0))
                draw.text((corners[0] + 2, corners[1] + 1), said, fill=(255, 255, 255))
    return _photograph(picture)


def _area(box: Corners) -> int:
    x1, y1, x2, y2 = box
    return (x2 - x1 + 1) * (y2 - y1 + 1)


def strip_picture(patches: Sequence[np.ndarray]) -> Picture:
    """Parts of images, uint8 [h, w, 3] of any size, as squares side by side: one JPEG."""
    strip = Image.new("RGB", (PATCH * len(patches), PATCH))
    for place, patch in enumerate(patches):
        square = Image.fromarray(np.ascontiguousarray(patch))
        strip.paste(square.resize((PATCH, PATCH), Image.Resampling.BICUBIC), (PATCH * place, 0))
    return _picture(strip, "JPEG", quality=75, optimize=True)


def _photograph(image: Image.Image) -> Picture:
    if max(image.size) <= SMALL:
        return _picture(image, "PNG", optimize=True)
    thumbnail = image.resize(_size(image), Image.Resampling.LANCZOS)
    return _picture(thumbnail, "JPEG", quality=82, optimize=True)


def _size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the thumbnail."""
    factor = min(1, LONGEST / max(image.size))
    return max(1, round(image.width * factor)), max(1, round(image.height * factor))


def _picture(image: Image.Image, kind: str, **options) -> Picture:
    file = io.BytesIO()
    image.save(file, kind, **options)
    data = file.getvalue()
    return Picture(
        key=f"p{hashlib.sha256(data).hexdigest()[:12]}",
        uri=f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}",
        width=image.width,
        height=image.height,
        small=max(image.size) <= SMALL,
    )
