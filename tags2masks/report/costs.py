"""The chart of what labels cost and bring: mean IoU of predictions against seconds per image."""

from collections.abc import Iterator

import pandas as pd

from tags2masks.report import plots, tables
from tags2masks.report.lineage import chain_of, first_seeds, path_of
from tags2masks.report.summary import MEAN

CHART = "Prediction IoU against label cost"
AXIS = "label cost, seconds per training image"


def cost_chart(
    key: str, outline: list[dict], board: pd.DataFrame, numbers: dict[str, int]
) -> Iterator[dict]:
    """Yield the chart of a group of experiments on the same images, if their labels cost unequally.

    outline: the experiments of data sets that differ in their labelled images at most; board: the
    rows of leaderboard.csv, cells as text; numbers: the experiments' numbers for colours.
    A line is a chain, on data sets of different cost. For several seeds the mean counts.
    """
    rows = board.set_index(["experiment", "seed"])
    points: dict[str, list[dict]] = {}
    for experiment in first_seeds(outline):
        name, path = experiment["experiment"], path_of(experiment)
        place = (path, MEAN) if (path, MEAN) in rows.index else (name, str(experiment["seed"]))
        row = rows.loc[place]
        if not row["prediction_iou"] or not float(row["label_cost"]):
            continue
        sources = " + ".join(experiment["supervision"])
        line = plots.Series(f"{sources}: {chain_of(experiment)}", numbers[name], pd.DataFrame())
        points.setdefault(line.name, []).append(
            {
                "number": line.number,
                "cost": float(row["label_cost"]),
                "iou": float(row["prediction_iou"]),
            }
        )
    lines = [
        plots.Series(name, mine[0]["number"], pd.DataFrame(mine).sort_values("cost"))
        for name, mine in points.items()
    ]
    if len({cost for line in lines for cost in line.values["cost"]}) < 2:
        return
    yield {
        "title": CHART,
        "svg": plots.over_costs(f"{key}-costs", lines, AXIS),
        "legend": lines,
        "alt": "; ".join(
            f"{line.name}: "
            + ", ".join(
                f"{tables.percent(row.iou)} % at {row.cost:.1f} s"
                for row in line.values.itertuples()
            )
            for line in lines
        ),
        "marks": False,
        "source": "results/leaderboard.csv",
    }


def cost_group(dataset: str, outline: list[dict]) -> list[dict]:
    """The experiments on the same images whose chart this data set shows; none if another does."""
    images = {experiment["dataset"]: experiment["data"] for experiment in outline}
    group = [experiment for experiment in outline if experiment["data"] == images[dataset]]
    return group if group[0]["dataset"] == dataset else []
