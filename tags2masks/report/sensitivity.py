"""Figures against a parameter: lines, and box plots where there are several repeats."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats

from tags2masks.report.plots import Series, from_zero, shortened, stacked
from tags2masks.report.svg import DASHES, STYLE, SURFACE, colour, svg
from tags2masks.report.tables import percent

BOXED = 3  # repeats that make a box plot
ROOM = 0.75  # of the distance of two settings, for the boxes of one
WIDEST = 0.3  # of it, for one box
WIDE = 50  # the largest of the settings over the smallest

BOXES_TEXT = (
    f"Boxes, of {BOXED} repeats or more: median and quartiles; whiskers to the furthest figures "
    "within 1.5 times the box's height of it; points beyond them."
)
POINTS_TEXT = f"Points: single repeats, where they are fewer than {BOXED}."
LINES_TEXT = "Lines: means of the repeats. Axes need not begin at 0."


class Panel(NamedTuple):
    """The lines of a figure at the reported score, and at the best.

    values of a line: columns setting (text), value (0..1), a row for each repeat.
    """

    title: str
    fixed: Sequence[Series]
    best: Sequence[Series]

    @property
    def lines(self) -> list[tuple[Series, bool]]:
        """All lines, and whether they are at the best score."""
        return [*((line, False) for line in self.fixed), *((line, True) for line in self.best)]


def sensitivity(key: str, panels: Sequence[Panel], parameter: str) -> str:
    """Figures (%) against a parameter, in panels; lines are of means.

    If all settings are numbers the axis is numeric, otherwise they are spaced evenly in the order
    of first occurrence. Numbers that differ by more than a factor of `WIDE` are spaced evenly in
    order of size, since the small ones would overlap. With repeats they are spaced
    evenly too, numbers in order of size, and each line has its own place beside the setting: for a
    box plot of `BOXED` repeats or more, for points of fewer.
    """
    lines = [line for panel in panels for line, _ in panel.lines]
    several = most_repeats(lines) > 1
    settings = ordered(setting for line in lines for setting in line.values["setting"])
    numbers = pd.to_numeric(pd.Series(settings), errors="coerce")
    numeric = bool(numbers.notna().all()) and not several and not _wide(numbers)
    place = dict(zip(settings, numbers if numeric else range(len(settings)), strict=True))
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure, axes = stacked((2.0 if several else 1.5) * len(panels) + 1.5, len(panels))
        for at, panel in zip(axes, panels, strict=True):
            width = min(WIDEST, ROOM / len(panel.lines))
            for number, (line, tuned) in enumerate(panel.lines):
                beside = (number - (len(panel.lines) - 1) / 2) * width if several else 0
                spots = line.values["setting"].map(place) + beside
                repeats = (100 * line.values["value"]).groupby(spots)
                if several:
                    draw_repeats(at, repeats, 0.8 * width, line.number, tuned)
                _draw_line(at, repeats.mean(), line.number, tuned, 3 if several else 5)
            at.set_title(panel.title)
            if not several:
                from_zero(at)
            at.grid(True, axis="y" if several else "both")
            at.tick_params(labelbottom=at is axes[-1])
        axes[-1].set_xticks(list(place.values()), [shortened(setting) for setting in settings])
        axes[-1].set_xlabel(parameter)
        return svg(figure, key)


def _wide(numbers: pd.Series) -> bool:
    """Whether positive numbers differ so much that small ones overlap on an axis that has all."""
    return numbers.min() > 0 and numbers.max() > WIDE * numbers.min()


def ordered(settings: Iterable[str]) -> list[str]:
    """Each setting once; numbers by size, others as they come."""
    names = list(dict.fromkeys(settings))
    numbers = pd.to_numeric(pd.Series(names), errors="coerce")
    return names if numbers.isna().any() else [names[at] for at in np.argsort(numbers.to_numpy())]


def most_repeats(lines: Iterable[Series]) -> int:
    """The number of repeats of the setting that has the most."""
    return max(line.values.groupby("setting").size().max() for line in lines)


def what_is_drawn(lines: Sequence[Series]) -> str:
    """What boxes, points and lines mean where there are repeats; else nothing."""
    counts = {size for line in lines for size in line.values.groupby("setting").size()}
    if max(counts) == 1:
        return ""
    boxes = [BOXES_TEXT] if max(counts) >= BOXED else []
    points = [POINTS_TEXT] if counts & set(range(2, BOXED)) else []
    return " ".join([*boxes, *points, LINES_TEXT])


def box_of(values: Sequence[float]) -> dict:
    """A box plot's numbers, as matplotlib has them: med, q1, q3, whislo, whishi, fliers, mean.

    Quartiles are interpolated linearly. Whiskers end at the furthest values within 1.5 times the
    distance of the quartiles from these; fliers are the values beyond.
    """
    (box,) = boxplot_stats(np.asarray(values, float), whis=1.5)
    return box


def box_text(values: Sequence[float]) -> str:
    """The mean of shares in percent, and of `BOXED` or more their box plot's numbers."""
    said = percent(np.mean(values))
    if len(values) < BOXED:
        return said
    box = {name: np.atleast_1d(value) for name, value in box_of(values).items()}
    parts = [
        f"{word} {' and '.join(percent(value) for name in names for value in box[name])}"
        for word, names in (
            ("median", ["med"]),
            ("quartiles", ["q1", "q3"]),
            ("whiskers", ["whislo", "whishi"]),
            ("beyond", ["fliers"]),
        )
        if any(len(box[name]) for name in names)
    ]
    return f"{said} ({len(values)} repeats: {', '.join(parts)})"


def draw_repeats(
    axes: Axes,
    repeats: Iterable[tuple[float, pd.Series]],
    width: float,
    number: int,
    tuned: bool,
) -> None:
    """A box plot of each place's repeats, or points where they are few."""
    look = {"color": colour(number), "linewidth": 0.9}
    face = SURFACE if tuned else colour(number)
    points = {"marker": ".", "markersize": 4, "linestyle": "none"}
    points |= {"markerfacecolor": face, "markeredgecolor": colour(number), "markeredgewidth": 0.7}
    for at, values in repeats:
        if len(values) < BOXED:
            axes.plot([at] * len(values), values, **points)
            continue
        axes.bxp(
            [box_of(values)],
            positions=[at],
            widths=width,
            manage_ticks=False,
            boxprops=look,
            medianprops=look | {"linewidth": 2, "solid_capstyle": "butt"},
            whiskerprops=look,
            capprops=look,
            flierprops=points,
        )


def _draw_line(axes: Axes, means: pd.Series, number: int, tuned: bool, size: float) -> None:
    axes.plot(
        means.index,
        means,
        color=colour(number),
        linestyle=DASHES[2] if tuned else "-",
        linewidth=STYLE["lines.linewidth"] if size > 3 else 0.8,
        marker="D" if tuned else "o",
        markersize=size,
        markerfacecolor=SURFACE if tuned else colour(number),
    )
