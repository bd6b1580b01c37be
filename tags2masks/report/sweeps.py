"""Charts of sweeps: figures against a parameter, or in a grid of two."""

from collections.abc import Iterator, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tags2masks.report import plots, tables
from tags2masks.report.sensitivity import Panel, box_text, ordered, sensitivity, what_is_drawn
from tags2masks.report.summary import last_of_stages, usual_split
from tags2masks.report.svg import STYLE, WIDTH, colour, svg

TITLES = {"iou": "mean IoU", "contour_f": "contour F"}  # others as in tables
ON_VAL = " on validation images"
PALEST, DARKEST = 0.06, 0.55  # opacity of a grid's cells; text stays legible on all


def sweep_charts(
    key: str, table: pd.DataFrame, numbers: dict[str, int], figures: Sequence[str]
) -> Iterator[dict]:
    """Charts of chosen figures, for each stage on which a parameter tells.

    One for each parameter that is swept alone, with a line per chain; for two parameters one per
    chain, a grid. Several seeds count as their mean, and their spread is shown on the lines; for
    two parameters in a chart of its own, with a line for each value of the second.
    Maps and masks of val's images, if there are any, have charts of their own.
    table: a data set's rows of sweep.csv, from `reading.read_sweep`; numbers: the experiments'
    numbers for colours; figures: names of metrics, in their order.
    """
    table = table.assign(number=table["experiment"].map(numbers))
    yield from charts_of(key, table, figures, "results/sweep.csv")


def charts_of(key: str, table: pd.DataFrame, figures: Sequence[str], source: str) -> Iterator[dict]:
    """The charts of figures against a parameter, with the name of the file that they are from.

    table: columns of sweep.csv, and `number` of the experiment for its colour.
    """
    table = table[table["metric"].isin(figures)]
    panels = {name: f"{TITLES.get(name, tables.METRIC_NAMES[name])}, %" for name in figures}
    table = last_of_stages(table).reset_index(drop=True)
    usual = usual_split(table)
    for name, rows, of in ((key, usual, ""), (f"{key}-val", table.drop(usual.index), ON_VAL)):
        for chart in _split_charts(name, rows, panels, of):
            yield chart | {"source": source}


def _split_charts(key: str, table: pd.DataFrame, titles: dict[str, str], of: str) -> Iterator[dict]:
    """The charts of a split; titles: of the panels, by metric."""
    alone, pairs = table[table["by"] == ""], table[table["by"] != ""]
    for place, (parameter, rows) in enumerate(alone.groupby("parameter", sort=False)):
        for stage in _telling(rows):
            name, axis = f"{key}-sweep{place}-{stage}", str(parameter)
            yield from _lines(name, axis, axis, stage, rows, titles, of)
    for place, (names, rows) in enumerate(pairs.groupby(["parameter", "by", "chain"], sort=False)):
        for stage in _telling(rows):
            yield from _grids(f"{key}-grid{place}-{stage}", *names, stage, rows, titles, of)
            if _repeated(rows):
                name, (axis, by, _) = f"{key}-spread{place}-{stage}", names
                title = f"{axis} by {by}, each repeat"
                yield from _lines(name, title, axis, stage, _lines_of(rows), titles, of)


def _repeated(rows: pd.DataFrame) -> bool:
    """Whether a pair of settings has several repeats."""
    setting = ["chain", "setting", "by_setting"]
    return rows.groupby(setting)["experiment"].nunique().max() > 1


def _lines_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of two parameters with a chain for each value of the second, for a line."""
    field = rows["by"].str.rpartition(".")[2]
    return rows.assign(chain=rows["chain"] + ", " + field + " " + rows["by_setting"])


def _telling(rows: pd.DataFrame) -> list[str]:
    """The stages whose figures differ between settings, and those that a chain ends in."""
    ends = {_stages(own)[-1] for _, own in rows.groupby("chain") if _stages(own)}
    same = ["chain", "stage", "split", "metric", "tuned_on_masks"]
    seed = rows["experiment"].str.partition("@")[2].rename("seed")
    differing = rows.groupby([*same, seed])["value"].nunique() > 1
    stages = ends | set(differing[differing].reset_index()["stage"])
    return [stage for stage in _stages(rows) if stage in stages]


def _stages(rows: pd.DataFrame) -> list[str]:
    """The stages with figures, in order."""
    return [stage for stage in tables.STAGE_NAMES if stage in set(rows["stage"])]


def _lines(
    key: str,
    title: str,
    axis: str,
    stage: str,
    rows: pd.DataFrame,
    titles: dict[str, str],
    of: str,
) -> Iterator[dict]:
    """The chart of a stage, with a line per chain; none without figures.

    title, axis: the parameter as the title and as the axis has it; titles: of the panels, by
    metric; of: what the title says of the images.
    """
    panels = []
    rows = rows[rows["stage"] == stage]
    for metric, figure in titles.items():
        lines = {False: [], True: []}
        for chain, mine in rows[rows["metric"] == metric].groupby("chain", sort=False):
            number = mine["number"].iloc[0]
            for tuned, values in mine.groupby("tuned_on_masks"):
                name = chain.partition("/")[2]
                lines[tuned].append(plots.Series(name, number, values))
        if lines[False]:
            panels.append(Panel(figure, lines[False], lines[True]))
    if panels:
        yield {
            "title": f"Sensitivity to {title}: {tables.STAGE_NAMES[stage]}{of}",
            "svg": sensitivity(key, panels, axis),
            "legend": panels[0].fixed,
            "alt": "; ".join(
                f"{line.name}, {panel.title}: "
                + ", ".join(
                    f"{box_text(values)} at {setting}"
                    for setting, values in line.values.groupby("setting", sort=False)["value"]
                )
                for panel in panels
                for line in panel.fixed
            ),
            "note": what_is_drawn([line for panel in panels for line, _ in panel.lines]),
            "marks": True,
        }


def _grids(
    key: str,
    parameter: str,
    by: str,
    chain: str,
    stage: str,
    rows: pd.DataFrame,
    titles: dict[str, str],
    of: str,
) -> Iterator[dict]:
    panels = []
    rows = rows[rows["stage"] == stage]
    for metric, title in titles.items():
        for tuned, values in rows[rows["metric"] == metric].groupby("tuned_on_masks"):
            said = f"{title[:-3]}, at the best score (tuned on masks), %" if tuned else title
            panels.append((said, _grid_of(values)))
    if panels:
        name, number = chain.partition("/")[2], rows["number"].iloc[0]
        yield {
            "title": f"Sensitivity to {parameter} by {by}: {tables.STAGE_NAMES[stage]}{of}",
            "svg": _drawn_grids(key, panels, parameter, by, number),
            "legend": [plots.Series(name, number, rows)],
            "alt": "; ".join(
                f"{name}, {title}: "
                + ", ".join(
                    f"{tables.percent(grid.loc[row, column])} at {row} and {column}"
                    for row in grid.index
                    for column in grid.columns
                )
                for title, grid in panels
            ),
            "marks": False,
        }


def _grid_of(values: pd.DataFrame) -> pd.DataFrame:
    """The mean of the seeds for each pair: a row per setting, a column per second setting."""
    means = values.groupby(["setting", "by_setting"], sort=False)["value"].mean().unstack()
    return means.loc[ordered(values["setting"]), ordered(values["by_setting"])]


def _drawn_grids(
    key: str, panels: list[tuple[str, pd.DataFrame]], parameter: str, by: str, number: int
) -> str:
    """A grid per panel: the higher a figure (%), the darker its cell; the highest is bold."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        height = sum(0.9 + 0.26 * len(grid) for _, grid in panels)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        shares = [0.9 + 0.26 * len(grid) for _, grid in panels]
        places = figure.subplots(len(panels), 1, squeeze=False, height_ratios=shares)[:, 0]
        for axes, (title, grid) in zip(places, panels, strict=True):
            _draw_grid(axes, grid, number)
            axes.set_title(title)
            axes.set_ylabel(parameter.rpartition(".")[2])
            axes.set_xlabel(by.rpartition(".")[2])
        return svg(figure, key)


def _draw_grid(axes: Axes, grid: pd.DataFrame, number: int) -> None:
    values = grid.to_numpy(float)
    low, high = np.nanmin(values), np.nanmax(values)
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        if np.isnan(value):
            continue
        share = (value - low) / (high - low) if high > low else 0
        cell = Rectangle(
            (column - 0.5, row - 0.5),
            1,
            1,
            facecolor=(colour(number), round(PALEST + (DARKEST - PALEST) * share, 3)),
            linewidth=0,
        )
        axes.add_patch(cell)
        weight = "bold" if value == high else "normal"
        axes.text(column, row, tables.percent(value), ha="center", va="center", weight=weight)
    axes.set_xlim(-0.5, values.shape[1] - 0.5)
    axes.set_ylim(values.shape[0] - 0.5, -0.5)
    axes.set_xticks(range(values.shape[1]), list(grid.columns))
    axes.set_yticks(range(values.shape[0]), list(grid.index))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
