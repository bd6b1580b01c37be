"""Published figures beside the figures that were measured here.

A table is a CSV file with `COLUMNS`, a row per figure, in percent as printed. `method` is a chain
from the classifier on, such as vanilla/cam/crf, or another name for a method that is not here.
`metric` is a stage and a metric of metrics.csv, such as seed_iou or mask_contour_f; the suffix
`_best` means that the background score was chosen with pixel masks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tags2masks.data.tables import read_table
from tags2masks.errors import raise_together
from tags2masks.report.lineage import path_of
from tags2masks.report.tables import METRIC_NAMES, STAGE_NAMES, percent_spread
from tags2masks.stages import STAGES

COLUMNS = ("paper", "table", "dataset", "split", "method", "metric", "value", "note")
MEND = "correct it, or take it out of `published`"
BEST = "_best"
NAMES = METRIC_NAMES | {"fp": "False positives", "fn": "False negatives"}


class Figure(NamedTuple):
    """A published figure; measured: (chain, percent) of matching experiments."""

    method: str
    dataset: str
    split: str
    metric: str
    tuned: bool
    value: str
    note: str
    measured: list[tuple[str, str]]


class Published(NamedTuple):
    """A paper's table."""

    paper: str
    table: str
    figures: list[Figure]

    @property
    def measured(self) -> int:
        """The number of its figures with a matching experiment."""
        return sum(bool(figure.measured) for figure in self.figures)


def read_published(path: Path | str) -> pd.DataFrame:
    """A table of published figures, with every cell as text.

    Raises UserError naming the file and the row of a non-numeric value or an empty cell.
    """
    frame = read_table(path, COLUMNS, MEND)
    numbers = pd.to_numeric(frame["value"], errors="coerce")
    raise_together(
        [
            f"{path}, row {row + 1}: value '{value}' is no number; {MEND}"
            for row, value in frame["value"][numbers.isna()].items()
        ]
        + [
            f"{path}, row {row + 1}: no {name}; {MEND}"
            for name in ("paper", "method", "metric")
            for row in frame.index[frame[name].str.strip() == ""]
        ]
    )
    return frame


def published_tables(
    paths: Sequence[Path | str], outline: list[dict], metrics: pd.DataFrame
) -> list[Published]:
    """The papers' tables in the order of the files, each figure with what was measured here.

    metrics: as `tables.read_metrics` gives it. An experiment matches a figure if its entries up to
    the figure's stage are those of `method`, and if it was measured on the same split; data sets
    are not compared. An entry matches by its name if a table has that name, else by its method.
    Experiments that share these entries are listed once, by these entries; repeats with other seeds
    as mean ± standard deviation.
    """
    if not paths:
        return []
    frame = pd.concat([read_published(path) for path in paths], ignore_index=True)
    named = {word for method in frame["method"] for word in method.split("/")}
    known = {experiment["experiment"]: experiment for experiment in outline}
    words = {name: _words(experiment, named) for name, experiment in known.items()}
    means = metrics[metrics["class"] == "mean"]
    tables = []
    for (paper, table), rows in frame.groupby(["paper", "table"], sort=False):
        figures = []
        for row in rows.to_dict("records"):
            stage, metric, tuned = _parts(row["metric"])
            mine = means[
                (means["stage"] == stage)
                & (means["metric"] == metric)
                & (means["tuned_on_masks"] == tuned)
                & (means["split"] == row["split"])
            ]
            measured: dict[str, dict[int, float]] = {}
            for name, value in zip(mine["experiment"], mine["value"], strict=True):
                depth = max(depth for depth, at, _ in known[name]["steps"] if at == stage)
                if words[name][:depth] == row["method"].split("/"):
                    start = "/".join(path_of(known[name]).split("/")[: depth + 1])
                    measured.setdefault(start, {})[known[name]["seed"]] = value
            figures.append(
                Figure(
                    row["method"],
                    row["dataset"],
                    row["split"],
                    _metric_title(row["metric"]),
                    tuned,
                    row["value"],
                    row["note"],
                    [(name, percent_spread(values.values())) for name, values in measured.items()],
                )
            )
        tables.append(Published(paper, table, figures))
    return tables


def _words(experiment: dict, named: set[str]) -> list[str]:
    """The word for each entry of an experiment in published tables: its name or its method."""
    methods = {
        depth: artifact.rpartition("-")[0]
        for depth, stage, artifact in experiment["steps"]
        if STAGES[stage].section
    }
    entries = path_of(experiment).split("/")[1:]
    return [
        entry if entry in named else methods[depth] for depth, entry in enumerate(entries, start=1)
    ]


def _parts(metric: str) -> tuple[str | None, str, bool]:
    """Stage, metric and tuned_on_masks in metrics.csv; stage None for other metrics."""
    for stage, name in STAGE_NAMES.items():
        if metric.startswith(f"{name}_"):
            plain = metric.removeprefix(f"{name}_")
            return stage, plain.removesuffix(BEST), plain.endswith(BEST)
    return None, metric.removesuffix(BEST), metric.endswith(BEST)


def _metric_title(metric: str) -> str:
    stage, plain, tuned = _parts(metric)
    name = NAMES.get(plain, plain.replace("_", " ").replace("iou", "IoU"))
    title = f"{STAGE_NAMES[stage].capitalize()} {name}" if stage else name[:1].upper() + name[1:]
    return f"{title}, best score" if tuned else title
