"""Charts of what one experiment gains over another, class by class."""

from collections.abc import Iterator, Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from tags2masks.report import plots, tables
from tags2masks.report.summary import last_of_stages
from tags2masks.report.svg import INK, STYLE, WIDTH, colour, svg


def difference_charts(
    key: str,
    compared: Sequence[dict],
    metrics: pd.DataFrame,
    classes: Sequence[str],
    numbers: dict[str, int],
    properties: pd.DataFrame | None,
) -> Iterator[dict]:
    """A chart for each pair: the second's IoU less the first's, with the mean on top.

    Of the last stage where both have figures; none without one. Several seeds count as their mean.
    compared: `Catalog.comparisons` of a data set; metrics: its rows of metrics.csv, of its usual
    split; classes: its names; numbers: the experiments' numbers for colours; properties: its
    properties.csv, if it has masks.
    """
    if not compared or properties is None:
        return
    rows = last_of_stages(metrics)
    rows = rows[(rows["metric"] == "iou") & ~rows["tuned_on_masks"]]
    rows = rows[rows["class"].isin([*tables.ANY_CLASS, *classes])]
    means = rows.assign(path=rows["experiment"].str.partition("@")[0])
    means = means.groupby(["path", "stage", "class"])["value"].mean()
    sizes = properties[properties["split"] == "train"].set_index("class")["relative_size"]
    colours = {name.partition("@")[0]: number for name, number in numbers.items()}
    for place, pair in enumerate(compared):
        experiments = pair["experiments"]
        stages = [
            stage
            for stage in tables.STAGE_NAMES
            if stage in pair["stages"] and all((name, stage) in means for name in experiments)
        ]
        if not stages:
            continue
        first, second = (means[name, stages[-1]] for name in experiments)
        gains = 100 * (second - first).dropna()
        each = gains.drop("mean").sort_values(ascending=False, kind="stable")
        said = ""
        if pair["order"] == "size":
            each = each[sizes.reindex(each.index).sort_values(kind="stable").index]
            said = ", from small to large objects"
        gains = pd.concat([gains[["mean"]], each])
        of = [colours[name] for name in experiments]
        names = [name.partition("/")[2] for name in pair["names"]]
        figure = tables.STAGE_NAMES[stages[-1]].capitalize()
        yield {
            "title": f"{figure} IoU: what {names[1]} gains over {names[0]}{said}",
            "svg": _drawn(f"{key}-gains{place}", gains, of),
            "legend": [
                plots.Series(f"{name} is higher", number, gains)
                for name, number in zip(reversed(names), reversed(of), strict=True)
            ],
            "alt": "; ".join(f"{name} {gain:+.1f}" for name, gain in gains.items()),
            "marks": False,
            "source": "results/metrics.csv",
        }


def _drawn(key: str, gains: pd.Series, numbers: Sequence[int]) -> str:
    """Bars to the right in the second's colour, to the left in the first's."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure = Figure(figsize=(WIDTH, 0.7 + 0.19 * len(gains)), layout="constrained")
        axes = figure.subplots()
        shades = [colour(numbers[gain > 0]) for gain in gains]
        axes.barh(range(len(gains)), gains, 0.7, color=shades)
        axes.axvline(0, color=INK, linewidth=0.7)
        axes.set_yticks(range(len(gains)), [plots.shortened(name) for name in gains.index])
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.set_ylim(len(gains) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(True, axis="x")
        axes.set_xlabel("difference in IoU, points")
        return svg(figure, key)
