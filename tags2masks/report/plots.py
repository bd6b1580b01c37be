"""The kinds of charts, as inline SVG."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from tags2masks.report.svg import DASHES, INK, SERIES, STYLE, SURFACE, WIDTH, colour, svg
from tags2masks.stages import STAGES

FIGURES = [stage.figure for stage in STAGES.values() if stage.figure]
SHADES = {  # opacity of a stage's bars: the later in a chain, the darker
    figure: round(0.25 + 0.75 * place / (len(FIGURES) - 1), 2)
    for place, figure in enumerate(FIGURES)
}


class Series(NamedTuple):
    """A line of a chart; `number` determines its colour and dashes in all charts."""

    name: str
    number: int
    values: pd.DataFrame


class Separation(NamedTuple):
    """How a background score was chosen without masks (`scores.separation`).

    values: columns score, colour, features; chosen: the score.
    """

    number: int
    values: pd.DataFrame
    chosen: float


class Mark(NamedTuple):
    """A point to mark on a curve."""

    threshold: float
    value: float
    tuned: bool


def curves(
    key: str,
    series: Sequence[Series],
    marks: Mapping[str, Sequence[Mark]],
    separations: Sequence[Separation] = (),
) -> str:
    """Mean IoU (%) against the background score; values: columns threshold, iou (0..1).

    key: prefix of the chart's ids, unique in the page.
    marks: by the series' name. A filled circle marks the reported score, a hollow diamond the score
    that was chosen with pixel masks.
    separations: drawn below, as shares of their highest value: colour solid, features dotted.
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure, (axes, *below) = stacked(*((4.2, 2) if separations else (3.0, 1)))
        for line in series:
            table = line.values.sort_values("threshold")
            axes.plot(table["threshold"], 100 * table["iou"], **_look(line.number))
            for mark in marks.get(line.name, ()):
                axes.plot(
                    mark.threshold,
                    100 * mark.value,
                    marker="D" if mark.tuned else "o",
                    markersize=6.5,
                    markerfacecolor=SURFACE if mark.tuned else colour(line.number),
                    markeredgecolor=colour(line.number),
                    markeredgewidth=1.5,
                    linestyle="none",
                    clip_on=False,
                    zorder=4,
                )
        axes.set_xlim(0, 1)
        from_zero(axes)
        axes.set_title("mean IoU, %")
        axes.grid(True)
        for panel in below:
            _separations(panel, separations)
            axes.tick_params(labelbottom=False)
        (below or [axes])[-1].set_xlabel("background score")
        return svg(figure, key)


def from_zero(axes: Axes) -> None:
    """Begin the vertical axis at 0, and leave room, or the highest point of a flat line is cut."""
    axes.set_ylim(0, 1.06 * axes.get_ylim()[1])


def _separations(axes: Axes, separations: Sequence[Separation]) -> None:
    for one in separations:
        table = one.values
        for column, style in (("colour", "-"), ("features", DASHES[2])):
            share = 100 * table[column] / max(table[column].max(), 1e-12)
            axes.plot(table["score"], share, color=colour(one.number), linestyle=style)
        axes.axvline(one.chosen, color=colour(one.number), linewidth=0.9)
    axes.set_ylim(0, 105)
    axes.set_title("separation without masks, % of its highest")
    axes.grid(True)


def training(key: str, series: Sequence[Series], measure: str, title: str) -> str:
    """Loss, and below it a measure in percent, over the epochs; values: epoch, loss, [measure].

    The lower panel is left out if no series has the measure.
    """
    measured = [line for line in series if measure in line.values and _any(line.values[measure])]
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure, panels = stacked(3.0, 2 if measured else 1)
        _over_epochs(panels[0], series, "loss", 1, "loss")
        from_zero(panels[0])
        if measured:
            _over_epochs(panels[1], measured, measure, 100, f"{title}, %")
            panels[0].tick_params(labelbottom=False)
        panels[-1].set_xlabel("epoch")
        return svg(figure, key)


class Panel(NamedTuple):
    """A column of some series over the epochs, times a factor."""

    column: str
    title: str
    series: Sequence[Series]
    factor: float = 1


def over_epochs(key: str, panels: Sequence[Panel], over: str = "epoch") -> str:
    """Panels below each other, with the epochs in common; values: epoch and the panel's column.

    over: the column that stands in for the epoch, if it is another.
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure, axes = stacked(0.8 + 0.9 * len(panels), len(panels))
        for at, panel in zip(axes, panels, strict=True):
            _over_epochs(at, panel.series, panel.column, panel.factor, panel.title, over)
            from_zero(at)
            at.tick_params(labelbottom=at is axes[-1])
        axes[-1].set_xlabel(over)
        return svg(figure, key)


def over_costs(key: str, series: Sequence[Series], label: str) -> str:
    """Mean IoU (%) against a cost on a logarithmic axis; values: columns cost (> 0), iou (0..1)."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure, (axes,) = stacked(3.0, 1)
        for line in series:
            table, number = line.values, line.number
            axes.plot(table["cost"], 100 * table["iou"], marker="o", markersize=5, **_look(number))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        from_zero(axes)
        axes.set_xlabel(label)
        axes.set_title("mean IoU, %")
        axes.grid(True)
        return svg(figure, key)


def class_bars(
    key: str,
    stages: Sequence[str],
    values: Sequence[tuple[str, Sequence[float | None]]],
    number: int,
    title: str = "IoU, %",
    ranges: Sequence[Sequence[tuple[float, float] | None]] = (),
) -> str:
    """IoU (%) of each class, one bar per stage (of `SHADES`), earlier stages paler.

    values: (class, one value 0..1 per stage or None), drawn from the top; number: the colour's.
    title: of the axis, for other figures than IoU; ranges: for each class and stage the ends of a
    line across the bar, or None.
    """
    row = 0.105 * len(stages) + 0.06  # inches
    own = colour(number)
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure, (axes,) = stacked(0.6 + row * len(values), 1)
        height = 0.84 / len(stages)
        for place, stage in enumerate(stages):
            known = [(at, v[place]) for at, (_, v) in enumerate(values) if v[place] is not None]
            axes.barh(
                [at + (place - (len(stages) - 1) / 2) * height for at, _ in known],
                [100 * value for _, value in known],
                height * 0.86,
                facecolor=(own, SHADES[stage]),
                edgecolor=own,
                linewidth=0.6,
            )
            lines = [(at, of[place]) for at, of in enumerate(ranges) if of[place] is not None]
            axes.hlines(
                [at + (place - (len(stages) - 1) / 2) * height for at, _ in lines],
                [100 * low for _, (low, _) in lines],
                [100 * high for _, (_, high) in lines],
                color=INK,
                linewidth=1.1,
            )
        axes.set_yticks(range(len(values)), [shortened(name) for name, _ in values])
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.tick_params(axis="y", length=0)
        axes.grid(True, axis="x")
        axes.set_xlabel(title)
        return svg(figure, key)


def _over_epochs(
    axes: Axes,
    series: Sequence[Series],
    column: str,
    factor: float,
    title: str,
    over: str = "epoch",
) -> None:
    for line in series:
        table = line.values.dropna(subset=[column]).sort_values(over)
        marker = "o" if len(table) <= 25 else None
        axes.plot(
            table[over],
            factor * table[column],
            marker=marker,
            markersize=3,
            **_look(line.number),
        )
    axes.set_title(title)
    axes.grid(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def stacked(height: float, panels: int) -> tuple[Figure, list[Axes]]:
    """A figure of this height, in inches, with panels below each other and the axis in common."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(panels, 1, sharex=panels > 1, squeeze=False)[:, 0])


def _look(number: int) -> dict:
    return {"color": colour(number), "linestyle": DASHES[number // SERIES % len(DASHES)]}


def _any(column: pd.Series) -> bool:
    return bool(column.notna().any())


def shortened(name: str) -> str:
    """A class's name as it stands at an axis."""
    return name if len(name) <= 18 else f"{name[:17]}…"
