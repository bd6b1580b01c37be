"""The table of the figures of instances."""

from typing import NamedTuple

import pandas as pd

from tags2masks.report.tables import STAGE_NAMES, percent

INSTANCE_METRICS = (
    "ap",
    "ap25",
    "ap50",
    "ap70",
    "ap75",
    "aps",
    "apm",
    "apl",
    "abo",
    "abo_instances",
)


class InstanceRow(NamedTuple):
    """The figures of an experiment's instances, formatted, in the order of `INSTANCE_METRICS`."""

    name: str
    stage: str
    split: str
    images: str
    cells: list[str]


def instance_table(metrics: pd.DataFrame) -> list[InstanceRow]:
    """A row for each artifact of each experiment whose instances were measured."""
    rows = metrics[metrics["metric"].isin(INSTANCE_METRICS) & (metrics["class"] == "mean")]
    rows = rows[
        rows["stage"].isin(["instances", "masks", "predictions"])
    ]  # detectors have AP of boxes
    return [
        InstanceRow(
            name,
            STAGE_NAMES[stage],
            split,
            part["images"].iloc[0],
            [
                percent(dict(zip(part["metric"], part["value"], strict=True)).get(metric))
                for metric in INSTANCE_METRICS
            ],
        )
        for (name, stage, split, _), part in rows.groupby(
            ["experiment", "stage", "split", "artifact"], sort=False
        )
    ]
