"""Masks as indexed PNG files with the palette of PASCAL VOC."""

from pathlib import Path

import numpy as np
from PIL import Image

from tags2masks.files import written_whole


def voc_palette() -> np.ndarray:
    """The colour of each id, uint8 [256, 3]: bits 3b, 3b + 1, 3b + 2 of the id set bit 7 − b."""
    ids = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= (((ids >> (3 * place + channel)) & 1) << (7 - place)).astype(
                np.uint8
            )
    return colours


def write_palette_png(path: Path | str, mask: np.ndarray) -> None:
    """Write ids, uint8 [h, w], as an indexed PNG; pixel values are the ids."""
    image = Image.frombytes("P", mask.shape[::-1], np.ascontiguousarray(mask).tobytes())
    image.putpalette(voc_palette().ravel().tolist())
    with written_whole(path) as beside:
        image.save(beside, format="PNG")
