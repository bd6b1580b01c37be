"""The CSV files of `results/`, read for the report."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tags2masks.data.tables import read_table
from tags2masks.metrics.groups import GROUPS
from tags2masks.metrics.properties import COLUMNS as PROPERTY_COLUMNS
from tags2masks.metrics.properties import CORRELATIONS
from tags2masks.metrics.rows import COLUMNS as FIGURE_COLUMNS
from tags2masks.report.summary import LEADERBOARD, METRICS, SWEEP, WARNINGS

MEND = "run the workflow again"


def read_leaderboard(path: Path | str) -> pd.DataFrame:
    """leaderboard.csv, a row per experiment, with every cell as text."""
    return read_table(path, LEADERBOARD, MEND)


def read_warnings(path: Path | str) -> pd.DataFrame:
    """warnings.csv, a row per warning; experiment is "" for warnings on a data set."""
    return read_table(path, WARNINGS, MEND)


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
