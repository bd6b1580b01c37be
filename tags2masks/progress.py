"""Progress of long work, for people at a terminal and in log files alike."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(items: Iterable, desc: str, total: int | None = None, unit: str = "image") -> tqdm:
    """A tqdm bar on stderr that writes rarely when it goes to a file."""
    return tqdm(
        items,
        desc=desc,
        total=total,
        unit=unit,
        mininterval=0.2 if sys.stderr.isatty() else 30,
        dynamic_ncols=True,
    )
