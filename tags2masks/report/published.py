"""Published figures beside the figures that were measured here.

A table is a CSV file with `COLUMNS`, a row per figure, in percent as printed. `method` is a chain
from the classifier on, such as vanilla/cam/crf, or another name for a method that is not here.
`metric` is a stage and a metric of metrics.csv, such as seed_iou or mask_contour_f; the suffix
`_best` means that the background score was chosen with pixel masks. Columns of `OPTIONAL` may be
absent: `class` (empty: the mean over the classes; `group: NAME`: over some of them) and `epoch` of
the classifier (empty: the last).
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tags2masks.data.tables import read_table
from tags2masks.errors import raise_together
from tags2masks.report.lineage import path_of
from tags2masks.report.reading import read_epochs
from tags2masks.report.summary import METRICS
from tags2masks.report.tables import METRIC_NAMES, STAGE_NAMES, percent_spread
from tags2masks.stages import STAGES

COLUMNS = ("paper", "table", "dataset", "split", "method", "metric", "value", "note")
OPTIONAL = ("class", "epoch")
MEAN = "mean"
GROUP = "group: "
MEND = "correct it, or take it out of `published`"
BEST = "_best"


class Figure(NamedTuple):
    """A published figure; measured: (chain, percent) of matching experiments.

    class_: "" for the mean over the classes; epoch: "" for the end of the training.
    """

    method: str
    dataset: str
    split: str
    metric: str
    tuned: bool
    class_: str
    epoch: str
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

    @property
    def means(self) -> list[Figure]:
        """Its figures of all classes together, at the end of the training."""
        return [figure for figure in self.figures if not figure.class_ and not figure.epoch]

    @property
    def grids(self) -> list["Grid"]:
        """Its figures of each class, and those after each epoch."""
        by_class = [figure for figure in self.figures if figure.class_]
        by_epoch = [figure for figure in self.figures if figure.epoch and not figure.class_]
        return [
            _grid(title, figures, name)
            for title, name, figures in (
                ("Class", "class_", by_class),
                ("Epoch", "epoch", by_epoch),
            )
            if figures
        ]


class GridColumn(NamedTuple):
    """What the figures of a column have in common; chains: the experiments measured here.

    cells: by the row's name, the published figure and those of `chains` in turn, "" if unknown.
    """

    about: Figure
    chains: list[str]
    cells: dict[str, tuple[str, list[str]]]


class Grid(NamedTuple):
    """Figures with a row per class or epoch."""

    title: str
    columns: list[GridColumn]
    rows: list[str]


def _grid(title: str, figures: list[Figure], name: str) -> Grid:
    groups: dict[tuple, list[Figure]] = {}
    for figure in figures:
        same = (figure.method, figure.dataset, figure.split, figure.metric, figure.note)
        other = "" if name == "epoch" else figure.epoch
        groups.setdefault((*same, other), []).append(figure)
    columns = []
    for mine in groups.values():
        chains = list(dict.fromkeys(chain for figure in mine for chain, _ in figure.measured))
        cells = {}
        for figure in mine:
            known = dict(figure.measured)
            here = [known.get(chain, "") for chain in chains]
            cells[getattr(figure, name)] = (figure.value, here)
        columns.append(GridColumn(mine[0], chains, cells))
    return Grid(title, columns, list(dict.fromkeys(getattr(figure, name) for figure in figures)))


def read_published(path: Path | str) -> pd.DataFrame:
    """A table of published figures with the columns COLUMNS and OPTIONAL, every cell as text.

    Raises UserError naming the file and the row of a non-numeric value, an epoch that is no whole
    number from 1 on, or an empty cell.
    """
    frame = read_table(path, COLUMNS, MEND)
    frame = frame.assign(**{name: "" for name in OPTIONAL if name not in frame})
    frame.loc[frame["class"] == MEAN, "class"] = ""
    numbers = pd.to_numeric(frame["value"], errors="coerce")
    raise_together(
        [
            f"{path}, row {row + 1}: value '{value}' is no number; {MEND}"
            for row, value in frame["value"][numbers.isna()].items()
        ]
        + [
            f"{path}, row {row + 1}: epoch '{epoch}' is no whole number from 1 on; {MEND}"
            for row, epoch in frame["epoch"].items()
            if epoch and not re.fullmatch("[1-9][0-9]*", epoch)
        ]
        + [
            f"{path}, row {row + 1}: no {name}; {MEND}"
            for name in ("paper", "method", "metric")
            for row in frame.index[frame[name].str.strip() == ""]
        ]
    )
    return frame


def epoch_figures(outline: list[dict], results: Path, asked: Collection[Path]) -> pd.DataFrame:
    """Figures of maps after each epoch, for every experiment that goes through the maps.

    Columns: those of metrics.csv, and `epoch` as text. asked: tables that the config asks for;
    those named `epochs.csv`, each in its maps' folder, are read.
    Raises UserError naming one that is damaged.
    """
    frames = [pd.DataFrame(columns=[*METRICS, "epoch"])]
    for experiment in outline:
        for _, stage, artifact in experiment["steps"]:
            path = results / experiment["dataset"] / stage / artifact / "epochs.csv"
            if path in asked:
                about = {name: experiment[name] for name in ("experiment", "dataset")}
                about |= {"stage": stage, "artifact": artifact}
                frames.append(read_epochs(path).assign(**about))
    return pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True)


def with_groups(metrics: pd.DataFrame, groups: pd.DataFrame | None) -> pd.DataFrame:
    """Figures of classes, and those of groups of classes as figures of the class `group: NAME`.

    groups: `reading.read_groups` of a run that has groups, else None.
    """
    if groups is None:
        return metrics
    mine = groups[groups["experiment"].isin(metrics["experiment"])]
    named = mine.assign(**{"class": GROUP + mine["group"]})
    return pd.concat([metrics, named[metrics.columns]], ignore_index=True)


def published_tables(
    paths: Sequence[Path | str],
    outline: list[dict],
    metrics: pd.DataFrame,
    epochs: pd.DataFrame | None = None,
) -> list[Published]:
    """The papers' tables in the order of the files, each figure with what was measured here.

    metrics: as `reading.read_metrics` gives it; epochs: as `epoch_figures` does.
    An experiment matches a figure if its entries up to the figure's stage are those of `method`,
    and if it was measured on the same split, class and epoch; data sets are not compared. An entry
    matches by its name if a table has that name, else by its method.
    Experiments that share these entries are listed once, by these entries; repeats with other seeds
    as mean ± standard deviation.
    """
    if not paths:
        return []
    frame = pd.concat([read_published(path) for path in paths], ignore_index=True)
    named = {word for method in frame["method"] for word in method.split("/")}
    known = {experiment["experiment"]: experiment for experiment in outline}
    words = {name: words_of(experiment, named) for name, experiment in known.items()}
    figured = pd.concat([metrics.assign(epoch=""), epochs], ignore_index=True)
    tables = []
    for (paper, table), rows in frame.groupby(["paper", "table"], sort=False):
        figures = []
        for row in rows.to_dict("records"):
            stage, metric, tuned = parts_of(row["metric"])
            mine = figured[
                (figured["stage"] == stage)
                & (figured["metric"] == metric)
                & (figured["class"] == (row["class"] or MEAN))
                & (figured["epoch"] == row["epoch"])
                & (figured["tuned_on_masks"] == tuned)
                & (figured["split"] == row["split"])
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
                    row["class"],
                    row["epoch"],
                    row["value"],
                    row["note"],
                    [(name, percent_spread(values.values())) for name, values in measured.items()],
                )
            )
        tables.append(Published(paper, table, figures))
    return tables


def words_of(experiment: dict, named: set[str]) -> list[str]:
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


def parts_of(metric: str) -> tuple[str | None, str, bool]:
    """Stage, metric and tuned_on_masks in metrics.csv; stage None for other metrics."""
    for stage, name in STAGE_NAMES.items():
        if metric.startswith(f"{name}_"):
            plain = metric.removeprefix(f"{name}_")
            return stage, plain.removesuffix(BEST), plain.endswith(BEST)
    return None, metric.removesuffix(BEST), metric.endswith(BEST)


def _metric_title(metric: str) -> str:
    stage, plain, tuned = parts_of(metric)
    name = METRIC_NAMES.get(plain, plain.replace("_", " ").replace("iou", "IoU"))
    title = f"{STAGE_NAMES[stage].capitalize()} {name}" if stage else name[:1].upper() + name[1:]
    return f"{title}, best score" if tuned else title
