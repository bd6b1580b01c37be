"""The report's tables, formatted from the CSV files."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from tags2masks.data.tables import read_table
from tags2masks.metrics.groups import GROUPS
from tags2masks.metrics.objects import OBJECT
from tags2masks.metrics.properties import COLUMNS as PROPERTY_COLUMNS
from tags2masks.metrics.properties import CORRELATIONS, PROPERTIES
from tags2masks.metrics.rows import COLUMNS as FIGURE_COLUMNS
from tags2masks.report.summary import (
    DEVIATION,
    LEADERBOARD,
    METRICS,
    SWEEP,
    WARNINGS,
    last_of_stages,
)
from tags2masks.stages import STAGES, figured

NOTHING = "–"
MEND = "run the workflow again"
STAGE_NAMES = {name: STAGES[name].figure for name in figured()}
ANY_CLASS = ("mean", "background", OBJECT)  # the last for maps of objects alone
METRIC_NAMES = {
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "prior_iou": "IoU with the true classes",
    "fg_precision": "Foreground precision",
    "fp": "False positives",
    "fn": "False negatives",
    "contour_f": "Contour F",
    "dr_recall": "DR-Recall",
    "ndr_recall": "NDR-Recall",
    "hsr_dr": "High in DR",
    "lsr_dr": "Low in DR",
    "hsr_ndr": "High in NDR",
    "lsr_ndr": "Low in NDR",
    "labelled": "Labelled pixels",
    "ap": "AP",
    "ap25": "AP25",
    "ap50": "AP50",
    "ap70": "AP70",
    "ap75": "AP75",
    "aps": "AP small",
    "apm": "AP medium",
    "apl": "AP large",
    "abo": "ABO",
    "abos": "ABO small",
    "abom": "ABO medium",
    "abol": "ABO large",
    "abo_instances": "ABO over instances",
}


def _score(name: str) -> Callable[[dict[str, str]], str]:
    """A formatter of the background score in the column `name`."""
    return lambda row: f"at\N{NO-BREAK SPACE}{float(row[name]):.2f}" if row[name] else ""


def _on_val(name: str) -> Callable[[dict[str, str]], str]:
    """A formatter of the figure of val's images in the column `name`."""
    return lambda row: f"val {percent(row[name])}" if row[name] else ""


def _seed(row: dict[str, str]) -> str:
    parts = [_score("seed_background_score")(row), _on_val("seed_iou_val")(row)]
    return ", ".join(filter(None, parts))


def _boxes(row: dict[str, str]) -> str:
    return f"AP50 {percent(row['detector_ap50'])}" if row["detector_ap"] else ""


def _overlaps(of: str) -> Callable[[dict[str, str]], str]:
    """A formatter of the average precision at an IoU of 0.5, and of the average best overlap.

    of: `instance` or `prediction`, as the columns begin.
    """

    def said(row: dict[str, str]) -> str:
        if not row[f"{of}_ap"]:
            return ""
        return f"AP50 {percent(row[f'{of}_ap50'])}, ABO {percent(row[f'{of}_abo'])}"

    return said


def _predicted(row: dict[str, str]) -> str:
    """The number and split of the predicted images."""
    if not row["prediction_images"]:
        return ""
    count = int(float(row["prediction_images"]))
    said = f"{count:,} {row['prediction_split']} image{'s' if count != 1 else ''}"
    share = row["share_of_full"]
    return f"{said}, {100 * float(share):.0f}\N{NO-BREAK SPACE}% of full" if share else said


def _cost(row: dict[str, str]) -> str:
    return f"{float(row['label_cost']):.0f} s an image"


class Column(NamedTuple):
    """A column of the leaderboard on the page.

    below: from a row of leaderboard.csv to the small print under the row's figure.
    optional: it is not there if no experiment has the figure.
    """

    name: str
    title: str
    kind: Literal["text", "percent", "count"]
    tuned: bool = False
    ranked: bool = False
    below: Callable[[dict[str, str]], str] = lambda row: ""
    optional: bool = False

    @property
    def width(self) -> int:
        """Its relative width in characters: the title's longest word or a figure, plus arrow and
        padding.
        """
        return max(4, *map(len, self.title.split())) + 5


COLUMNS = (
    Column("experiment", "Experiment", "text", below=lambda row: row["note"]),
    Column("supervision", "Supervision", "text", below=_cost),
    Column("classifier_map", "Classifier mAP", "percent", ranked=True, optional=True),
    Column("detector_ap", "Box AP", "percent", ranked=True, below=_boxes, optional=True),
    Column("seed_iou", "Seed IoU", "percent", ranked=True, below=_seed, optional=True),
    Column(
        "seed_iou_best",
        "Best seed IoU",
        "percent",
        tuned=True,
        ranked=True,
        below=_score("seed_best_background_score"),
        optional=True,
    ),
    Column(
        "instance_ap",
        "Instance AP",
        "percent",
        ranked=True,
        below=_overlaps("instance"),
        optional=True,
    ),
    Column(
        "mask_iou", "Mask IoU", "percent", ranked=True, below=_on_val("mask_iou_val"), optional=True
    ),
    Column(
        "prediction_iou",
        "Prediction IoU",
        "percent",
        ranked=True,
        below=_predicted,
        optional=True,
    ),
    Column(
        "prediction_ap",
        "Prediction AP",
        "percent",
        ranked=True,
        below=_overlaps("prediction"),
        optional=True,
    ),
    Column("train_images", "Train images", "count"),
)


class Cell(NamedTuple):
    """A cell of the leaderboard: its text, its sort key, and the small print under it."""

    text: str
    order: str
    best: bool = False
    below: str = ""


class Figures(NamedTuple):
    """A table of one experiment's figures: a row per class or metric, a column per stage."""

    columns: list["FiguresColumn"]
    rows: list[tuple[str, list[str]]]


class FiguresColumn(NamedTuple):
    """The figures of a column."""

    stage: str
    split: str
    threshold: float | None
    tuned: bool
    images: str


def read_leaderboard(path: Path | str) -> pd.DataFrame:
    """leaderboard.csv, a row per experiment, with every cell as text."""
    return read_table(path, LEADERBOARD, MEND)


def read_warnings(path: Path | str) -> pd.DataFrame:
    """warnings.csv, a row per warning; experiment is "" for warnings on a data set."""
    return read_table(path, WARNINGS, MEND)


def grouped_warnings(warnings: pd.DataFrame) -> list[str]:
    """Each warning of a data set once, with its experiments."""
    said = []
    for text, mine in warnings.groupby("warning", sort=False):
        names = ", ".join(filter(None, mine["experiment"]))
        said.append(f"{names}: {text}" if names else str(text))
    return said


def read_metrics(path: Path | str) -> pd.DataFrame:
    """metrics.csv with numbers converted, tuned_on_masks as booleans and names as text."""
    return _read_figures(path, METRICS)


def read_epochs(path: Path | str) -> pd.DataFrame:
    """epochs.csv of maps likewise; epochs are text."""
    return _read_figures(path, ("epoch", *FIGURE_COLUMNS))


def read_sweep(path: Path | str) -> pd.DataFrame:
    """sweep.csv likewise; settings are text."""
    return _read_figures(path, SWEEP)


def read_groups(path: Path | str) -> pd.DataFrame:
    """groups.csv likewise."""
    frame = _read_figures(path, GROUPS)
    return _with_numbers(frame, ("classes",))


def read_properties(path: Path | str) -> pd.DataFrame:
    """properties.csv of a data set, with numbers converted and class names as text."""
    return _with_numbers(read_table(path, PROPERTY_COLUMNS, MEND), PROPERTY_COLUMNS[2:])


def read_correlations(path: Path | str) -> pd.DataFrame:
    """correlations.csv likewise."""
    return _with_numbers(read_table(path, CORRELATIONS, MEND), ("pearson", "spearman", "classes"))


def _with_numbers(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return frame.assign(**{name: pd.to_numeric(frame[name]) for name in names})


def _read_figures(path: Path | str, columns: Sequence[str]) -> pd.DataFrame:
    frame = _with_numbers(read_table(path, columns, MEND), ("value", "threshold"))
    frame["tuned_on_masks"] = frame["tuned_on_masks"] == "True"
    return frame


def percent(value: float | str | None) -> str:
    """A share as percent with one decimal; a dash for no value."""
    if value is None or value == "" or pd.isna(value):
        return NOTHING
    return f"{100 * float(value):.1f}"


def percent_spread(values: Iterable[float]) -> str:
    """The mean in percent, with the sample standard deviation if there are several values."""
    known = pd.Series(list(values), dtype=float).dropna()
    if len(known) < 2:
        return percent(known.mean() if len(known) else None)
    return f"{percent(known.mean())} ± {100 * known.std():.1f}"


def shown_columns(frame: pd.DataFrame) -> list[Column]:
    """The columns of a leaderboard, without optional ones that no experiment has a figure for."""
    return [column for column in COLUMNS if not column.optional or frame[column.name].any()]


def leaderboard_cells(frame: pd.DataFrame) -> list[list[Cell]]:
    """A row of cells per row of the leaderboard, in the order of `shown_columns`.

    frame: from `read_leaderboard`. The deviation of several seeds is shown under their mean. The
    best figures of a ranked column in a data set are marked, unless all are equal. Single seeds of
    a repeated experiment, and references trained on all true masks, are not compared.
    """
    rows = frame.to_dict("records")
    deviations = {row["experiment"]: row for row in rows if row["seed"] == DEVIATION}
    compared = frame[
        ~frame["experiment"].str.contains("@", regex=False)
        & (frame["seed"] != DEVIATION)
        & (frame["supervision"] != "masks")
    ]
    best = {column.name: _best(compared, column.name) for column in COLUMNS if column.ranked}
    known = set(compared["experiment"])
    return [
        [
            _cell(
                column,
                row,
                deviations.get(row["experiment"], {}).get(column.name, ""),
                best.get(column.name, {}).get(row["dataset"])
                if row["experiment"] in known
                else None,
            )
            for column in shown_columns(frame)
        ]
        for row in rows
        if row["seed"] != DEVIATION
    ]


def _best(frame: pd.DataFrame, column: str) -> dict[str, float]:
    """The highest figure of each data set in which experiments differ."""
    values = pd.to_numeric(frame[column])
    groups = values.groupby(frame["dataset"], sort=False)
    return {dataset: group.max() for dataset, group in groups if group.nunique() > 1}


def _cell(column: Column, row: dict[str, str], deviation: str, best: float | None) -> Cell:
    value, below = row[column.name], column.below(row)
    if value == "":
        return Cell(NOTHING, "", below=below)
    if column.kind == "text":
        return Cell(value, value, below=below)
    if column.kind == "percent":
        if deviation:
            below = f"± {percent(deviation)}" + (f", {below}" if below else "")
        return Cell(percent(value), value, best is not None and float(value) == best, below)
    return Cell(f"{float(value):,.0f}", value, below=below)


def class_figures(metrics: pd.DataFrame, classes: Sequence[str]) -> Figures:
    """IoU (%) of the mean, the background and each class at every stage of an experiment.

    metrics: the experiment's rows. Seeds are at the reported score and at the one tuned on masks.
    """
    rows = metrics[(metrics["metric"] == "iou") & metrics["stage"].isin(STAGE_NAMES)]
    return _figures(rows, "class", {name: name for name in (*ANY_CLASS, *classes)})


def mean_figures(metrics: pd.DataFrame) -> Figures:
    """Every metric's mean over the classes (%) at every stage of an experiment."""
    rows = metrics[(metrics["class"] == "mean") & metrics["stage"].isin(STAGE_NAMES)]
    return _figures(rows, "metric", METRIC_NAMES)


def _figures(rows: pd.DataFrame, by: str, names: dict[str, str]) -> Figures:
    rows = last_of_stages(rows)
    parts = [
        rows[
            (rows["stage"] == stage) & (rows["split"] == split) & (rows["tuned_on_masks"] == tuned)
        ]
        for stage in STAGE_NAMES
        for split in ("train", "val")
        for tuned in (False, True)
    ]
    parts = [part for part in parts if len(part)]
    values = [dict(zip(part[by], part["value"], strict=True)) for part in parts]
    shown = [name for name in names if any(name in column for column in values)]
    return Figures(
        [_column(part) for part in parts],
        [(names[name], [percent(column.get(name)) for column in values]) for name in shown],
    )


def _column(part: pd.DataFrame) -> FiguresColumn:
    first = part.iloc[0]
    return FiguresColumn(
        stage=STAGE_NAMES[first["stage"]],
        split=first["split"],
        threshold=None if pd.isna(first["threshold"]) else float(first["threshold"]),
        tuned=bool(first["tuned_on_masks"]),
        images=first["images"],
    )


def class_values(
    metrics: pd.DataFrame, classes: Sequence[str]
) -> tuple[list[str], list[tuple[str, list[float | None]]]]:
    """The stages of an experiment that were measured, and the IoU of each class at them.

    Without figures tuned on masks. Rows: mean, background, classes; None if unknown.
    """
    rows = metrics[(metrics["metric"] == "iou") & ~metrics["tuned_on_masks"]]
    known = {
        name: dict(zip(part["class"], part["value"], strict=True))
        for stage, name in STAGE_NAMES.items()
        if len(part := rows[rows["stage"] == stage])
    }
    table = [
        (name, [column.get(name) for column in known.values()]) for name in (*ANY_CLASS, *classes)
    ]
    return list(known), [row for row in table if any(value is not None for value in row[1])]


class Split(NamedTuple):
    """The properties of a split's classes: rows of a class and its formatted figures."""

    name: str
    rows: list[tuple[str, list[str]]]


def class_properties(properties: pd.DataFrame) -> list[Split]:
    """The classes' properties by split: images, size and co-occurrence in %, number of tags."""
    return [
        Split(
            str(name),
            [
                (
                    row["class"],
                    [
                        f"{row['images']:,.0f}",
                        percent(row["relative_size"]),
                        percent(row["co_occurrence"]),
                        NOTHING if pd.isna(row["cardinality"]) else f"{row['cardinality']:.2f}",
                    ],
                )
                for row in rows.to_dict("records")
            ],
        )
        for name, rows in properties.groupby("split", sort=False)
    ]


def correlation_rows(correlations: pd.DataFrame) -> list[tuple[str, str, list[str]]]:
    """Per experiment its name, the stage that was measured, and Pearson's and Spearman's
    correlation with each of `PROPERTIES` in turn; none where no figure is known.
    """
    rows = []
    for (name, stage), mine in correlations.groupby(["experiment", "stage"], sort=False):
        figures = mine.set_index("property").loc[list(PROPERTIES), ["pearson", "spearman"]]
        if figures.notna().any(axis=None):
            shown = [NOTHING if pd.isna(v) else f"{v:.2f}" for v in figures.to_numpy().ravel()]
            rows.append((name, STAGE_NAMES[stage], shown))
    return rows
