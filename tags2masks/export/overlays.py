"""Masks drawn over their images, for people."""

from pathlib import Path

import numpy as np
from PIL import Image

from tags2masks.data.images import ImageFile, read_image
from tags2masks.report.thumbnails import paint


def write_overlay(path: Path, file: ImageFile, mask: np.ndarray) -> None:
    """Write a JPEG file of an image with its mask, uint8 [H, W], in the report's colours.

    Raises UserError as `read_image` does, also if the image is not of the mask's size.
    """
    image = Image.fromarray(read_image(file, mask.shape)).convert("RGBA")
    drawn = Image.alpha_composite(image, Image.fromarray(paint(mask), "RGBA"))
    drawn.convert("RGB").save(path, format="JPEG", quality=90)
