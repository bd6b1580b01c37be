"""Charts of sweeps: figures against a parameter, or in a grid of two."""

from collections.abc import Iterator

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tags2masks.report import plots, tables
from tags2masks.report.svg import STYLE, WIDTH, colour, svg

PANELS = (
    ("iou", "mean IoU, %"),
    ("contour_f", "contour F, %"),
    ("ndr_recall", "NDR-Recall, %"),
)
PALEST, DARKEST = 0.06, 0.55  # opacity of a grid's cells; text stays legible on all


def sweep_charts(key: str, table: pd.DataFrame, numbers: dict[str, int]) -> Iterator[dict]:
    """Charts of mean IoU, contour F and NDR-Recall, for each stage on which a parameter tells.

    One for each parameter that is swept alone, with a line per chain; for two parameters one per
    chain, a grid. Several seeds count as their mean, and their spread is shown on the lines.
    table: a data set's rows of sweep.csv, from `tables.read_sweep`; numbers: the experiments'
    numbers for colours.
    """
    alone, pairs = table[table["by"] == ""], table[table["by"] != ""]
    for place, (parameter, rows) in enumerate(alone.groupby("parameter", sort=False)):
        for stage in _telling(rows):
            yield from _lines(f"{key}-sweep{place}-{stage}", str(parameter), stage, rows, numbers)
    for place, (names, rows) in enumerate(pairs.groupby(["parameter", "by", "chain"], sort=False)):
        for stage in _telling(rows):
            yield from _grids(f"{key}-grid{place}-{stage}", *names, stage, rows, numbers)


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
    key: str, parameter: str, stage: str, rows: pd.DataFrame, numbers: dict[str, int]
) -> Iterator[dict]:
    panels = []
    rows = rows[rows["stage"] == stage]
    for metric, title in PANELS:
        lines = {False: [], True: []}
        for chain, mine in rows[rows["metric"] == metric].groupby("chain", sort=False):
            number = numbers[mine["experiment"].iloc[0]]
            for tuned, values in mine.groupby("tuned_on_masks"):
                name = chain.partition("/")[2]
                lines[tuned].append(plots.Series(name, number, values))
        if lines[False]:
            panels.append((title, lines[False], lines[True]))
    if panels:
        yield {
            "title": f"Sensitivity to {parameter}: {tables.STAGE_NAMES[stage]}",
            "svg": plots.sensitivity(key, panels, parameter),
            "legend": panels[0][1],
            "alt": "; ".join(
                f"{line.name}, {title}: "
                + ", ".join(
                    f"{tables.percent(value)} at {setting}"
                    for setting, value in _means(line.values, "setting").items()
                )
                for title, fixed, _ in panels
                for line in fixed
            ),
            "marks": True,
            "source": "results/sweep.csv",
        }


def _means(rows: pd.DataFrame, by: str | list[str]) -> pd.Series:
    """The mean of the seeds of each setting."""
    return rows.groupby(by, sort=False)["value"].mean()


def _grids(
    key: str,
    parameter: str,
    by: str,
    chain: str,
    stage: str,
    rows: pd.DataFrame,
    numbers: dict[str, int],
) -> Iterator[dict]:
    panels = []
    rows = rows[rows["stage"] == stage]
    for metric, title in PANELS:
        for tuned, values in rows[rows["metric"] == metric].groupby("tuned_on_masks"):
            said = f"{title[:-3]}, at the best score (tuned on masks), %" if tuned else title
            panels.append((said, _grid_of(values)))
    if panels:
        name, number = chain.partition("/")[2], numbers[rows["experiment"].iloc[0]]
        yield {
            "title": f"Sensitivity to {parameter} by {by}: {tables.STAGE_NAMES[stage]}",
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
            "source": "results/sweep.csv",
        }


def _grid_of(values: pd.DataFrame) -> pd.DataFrame:
    """The mean of the seeds for each pair: a row per setting, a column per second setting."""
    means = _means(values, ["setting", "by_setting"]).unstack()
    return means.loc[_ordered(values["setting"]), _ordered(values["by_setting"])]


def _ordered(settings: pd.Series) -> list[str]:
    """Each setting once; numbers by size, others as they come."""
    names = list(dict.fromkeys(settings))
    numbers = pd.to_numeric(pd.Series(names), errors="coerce")
    return names if numbers.isna().any() else [names[at] for at in np.argsort(numbers.to_numpy())]


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
