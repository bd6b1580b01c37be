"""The warnings of a run, repeated in its last lines."""

import csv
from collections.abc import Container
from pathlib import Path

MOST = 20


def warnings(table: Path | str, datasets: Container[str]) -> list[str]:
    """A line per warning on these data sets in results/warnings.csv; [] if the file is absent.

    A warning of several experiments is listed once.
    """
    table = Path(table)
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as rows:
        mine = [row for row in csv.DictReader(rows) if row["dataset"] in datasets]
    groups: dict[tuple[str, str], list[str]] = {}
    for row in mine:
        groups.setdefault((row["dataset"], row["warning"]), []).append(row["experiment"])
    lines = [
        f"warning: {_where(dataset, experiments)}: {text}"
        for (dataset, text), experiments in groups.items()
    ]
    more = [f"… and {len(lines) - MOST} more: {table}"] if len(lines) > MOST else []
    return lines[:MOST] + more


def _where(dataset: str, experiments: list[str]) -> str:
    if len(experiments) > 1:
        return f"{experiments[0]} and {len(experiments) - 1} more"
    return experiments[0] or dataset
