"""Progress bars for terminals and log files."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(items: Iterable, desc: str, total: int | None = None, unit: str = "image") -> tqdm:
    """A tqdm bar on stderr; if stderr is a file or pipe, a line every 30 seconds."""
    seconds = 0.2 if sys.stderr.isatty() else 30
    return tqdm(
        items,
        desc=desc,
        total=total,
        unit=unit,
        mininterval=seconds,
        delay=seconds,
        dynamic_ncols=True,
    )
