"""Times of functions that take turns, and the rows that tell them."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """A line of a table; ratio = plain / fast. None stands for what this machine cannot measure.

    unit: `s`, `MB` or nothing, of fast and plain alike.
    """

    what: str
    fast: float | None
    plain: float | None
    ratio: float | None
    unit: str
    note: str


def alternate(functions: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Seconds of each function in each of `repeats` rounds.

    In a round every function runs once, and every other round goes backwards, so that what the
    machine does besides meets all of them alike. Call each once before: the first call warms up.
    """
    seconds = [[0.0] * repeats for _ in functions]
    for number in range(repeats):
        order = list(enumerate(functions))
        for place, function in order if number % 2 == 0 else reversed(order):
            began = time.perf_counter()
            function()
            seconds[place][number] = time.perf_counter() - began
    return seconds


def compared(
    what: str, fast: Sequence[float], plain: Sequence[float], unit: str = "s", note: str = ""
) -> Row:
    """A row of figures from several rounds: medians, and the median of the rounds' ratios.

    Where there were several, the smallest and largest ratio open the note.
    """
    ratios = [slow / quick for quick, slow in zip(fast, plain, strict=True)]
    spread = f"{min(ratios):.3g} to {max(ratios):.3g} in {len(ratios)} rounds"
    notes = [spread] * (len(ratios) > 1) + [note] * bool(note)
    middle = (statistics.median(figures) for figures in (fast, plain, ratios))
    return Row(what, *middle, unit, "; ".join(notes))


def counted(what: str, fast: float, plain: float, unit: str, note: str = "") -> Row:
    """A row of two figures that are the same every time."""
    return Row(what, fast, plain, plain / fast, unit, note)
