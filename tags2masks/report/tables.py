"""The report's tables, formatted from the rows of the CSV files."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from tags2masks.metrics.objects import OBJECT
from tags2masks.metrics.properties import PROPERTIES
from tags2masks.report.summary import last_of_stages
from tags2masks.stages import STAGES, figured

NOTHING = "–"
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
    "score_inside": "Score on the class",
    "score_outside": "Score on the background",
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


def grouped_warnings(warnings: pd.DataFrame) -> list[str]:
    """Each warning of a data set once, with its experiments."""
    said = []
    for text, mine in warnings.groupby("warning", sort=False):
        names = ", ".join(filter(None, mine["experiment"]))
        said.append(f"{names}: {text}" if names else str(text))
    return said


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
    rows = last_of_stages(metrics[(metrics["metric"] == "iou") & ~metrics["tuned_on_masks"]])
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
