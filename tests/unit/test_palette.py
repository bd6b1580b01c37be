"""Palette PNG files: VOC's colours, and ids that stay ids."""

import numpy as np
from PIL import Image

from tags2masks.palette import voc_palette, write_palette_png


def test_colours_of_voc():
    palette = voc_palette()
    assert palette[[0, 1, 2, 8, 15, 20, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [64, 0, 0],  # cat
        [192, 128, 128],  # person
        [0, 64, 128],  # tvmonitor
        [224, 224, 192],  # the border
    ]


def test_ids_stay_ids(tmp_path):
    mask = np.array([[0, 1, 2], [20, 254, 255]], np.uint8)
    write_palette_png(tmp_path / "sub/mask.png", mask)
    image = Image.open(tmp_path / "sub/mask.png")
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), mask)
    assert image.convert("RGB").getpixel((1, 0)) == (128, 0, 0)
