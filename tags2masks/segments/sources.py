"""What the sources of segments share: the images that are asked for, and the entries stored.

A segment is an instance of class 0, that is of none (`instance_store`). A source is a module with
`find(work, spec)`, which yields the segments of each image, bool [n, H, W], in the images' order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tags2masks.data.images import ImageFile
from tags2masks.data.index import files_of
from tags2masks.instance_store import entry, instance
from tags2masks.machine import Machine
from tags2masks.store import Entry

NO_CLASS = 0


@dataclass(frozen=True)
class Work:
    """What a source gets: the images' rows, the folder of their paths, and the machine.

    folder: the user's folder that the source reads, if it reads one; dask: address of a scheduler.
    """

    rows: pd.DataFrame
    root: Path
    machine: Machine
    folder: Path | None = None
    dask: str | None = None

    @property
    def files(self) -> list[ImageFile]:
        """The images' files."""
        return files_of(self.rows, self.root)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The images' heights and widths, in pixels."""
        columns = (self.rows["height"], self.rows["width"])
        return [(int(height), int(width)) for height, width in zip(*columns, strict=True)]


def entries(work: Work, found: Iterable[np.ndarray]) -> Iterator[Entry]:
    """The store's entries of the segments of each image, without those of no pixel.

    found: bool [n, H, W] of each image, in order.
    """
    images = zip(work.rows["image"], work.sizes, found, strict=True)
    for image, size, segments in images:
        held = [instance(NO_CLASS, segment) for segment in segments if segment.any()]
        yield entry(image, held, size)


def parts_of(labels: np.ndarray, background: int | None = None) -> np.ndarray:
    """A segment for each value of a label image, bool [n, H, W], in the order of the values.

    labels: integers [H, W]; background: the value that is no segment; None: every value is one.
    """
    values = np.unique(labels)
    return labels == values[values != background, None, None]
