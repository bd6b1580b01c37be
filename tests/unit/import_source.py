"""A source for tests of imports, below the folder `in`, and what is written of it to `out`."""

import csv
import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tags2masks.importing.formats import reader_of
from tags2masks.importing.items import Options
from tags2masks.importing.writing import Division, write_dataset

SIZE = (8, 6)  # width, height


def photo(name, size=SIZE):
    """An image of random pixels, another for each name."""
    pixels = np.random.default_rng(zlib.crc32(name.encode()))
    Image.fromarray(pixels.integers(0, 255, (*size[::-1], 3), np.uint8)).save(_place(name))


def write(name, content):
    """A file of this text, or of this value as JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    _place(name).write_text(text, encoding="utf-8")


def imported(kind, source="in", *, options=None, division=None, files="named", only=None):
    """Import into `out`; what `write_dataset` says."""
    read = reader_of(kind)(Path(source), options or Options())
    division = division or Division()
    return write_dataset(read, Path("out"), division, files=files, only=only, threads=1)


def table(name="tags.csv"):
    """The rows of a table that was written, below its header."""
    with (Path("out") / name).open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def reasons(result):
    """Where something was dropped, and why."""
    return [(one.where, one.why) for one in result.dropped]


def _place(name):
    path = Path("in") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
