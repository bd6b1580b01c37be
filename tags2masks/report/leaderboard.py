"""The leaderboard of the report: its columns, and its cells."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import pandas as pd

from tags2masks.report.summary import DEVIATION
from tags2masks.report.tables import NOTHING, percent


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
