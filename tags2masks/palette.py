"""Masks as PNG files that show colours: the palette of PASCAL VOC."""

from pathlib import Path

import numpy as np
from PIL import Image

from tags2masks.files import written_whole


def voc_palette() -> np.ndarray:
    """uint8 [256, 3]: the colour of each id. Bit b of the id's digit triples sets bit 7 − b."""
    ids = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= (((ids >> (3 * place + channel)) & 1) << (7 - place)).astype(
                np.uint8
            )
    return colours


def write_palette_png(path: Path | str, mask: np.ndarray) -> None:
    """Write uint8 [h, w] ids as an indexed PNG; the ids stay readable as pixel values."""
    image = Image.frombytes("P", mask.shape[::-1], np.ascontiguousarray(mask).tobytes())
    image.putpalette(voc_palette().ravel().tolist())
    with written_whole(path) as beside:
        image.save(beside, format="PNG")
