"""A source for tests of imports: images and annotations below the folder `in`."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


def photo(name, level=0):
    """A PNG of 8 × 6 pixels of one grey, whatever its name says."""
    pixels = np.full((6, 8, 3), level, np.uint8)
    Image.fromarray(pixels).save(_place(name), "PNG")


def write(name, content):
    """A file of this text, or of this value as JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    _place(name).write_text(text, encoding="utf-8")


def rows():
    """The cells (image, tags, split) of the table that was written."""
    lines = Path("out/tags.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [line.split(",")[:3] for line in lines]


def _place(name):
    path = Path("in") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
