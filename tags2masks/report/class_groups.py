"""The table of means over groups of classes."""

from typing import NamedTuple

import pandas as pd

from tags2masks.report.summary import last_of_stages, usual_split
from tags2masks.report.tables import NOTHING, STAGE_NAMES, percent


class Groups(NamedTuple):
    """Means over groups of classes.

    names: of the groups, each with its number of classes; properties: of the training images'
    masks; rows: per experiment its name, the stage that was measured, and the IoU (%) of each
    group.
    """

    names: list[tuple[str, str]]
    properties: list[tuple[str, list[str]]]
    rows: list[tuple[str, str, list[str]]]


def group_table(figures: pd.DataFrame) -> Groups | None:
    """The groups of a data set; figures: its rows of groups.csv. None without any."""
    if figures.empty:
        return None
    names = list(dict.fromkeys(figures["group"]))
    properties = figures[(figures["experiment"] == "") & (figures["split"] == "train")]
    known = properties.pivot(index="metric", columns="group", values="value")
    counts = properties[properties["metric"] == "cardinality"].set_index("group")["classes"]
    iou = figures[(figures["metric"] == "iou") & ~figures["tuned_on_masks"]]
    iou = iou[(iou["experiment"] == "") | iou["stage"].isin(STAGE_NAMES)]
    rows = []
    usual = last_of_stages(usual_split(iou[iou["experiment"] != ""]))
    for name, mine in usual.groupby("experiment", sort=False):
        stage = max(set(mine["stage"]), key=list(STAGE_NAMES).index)
        values = mine[mine["stage"] == stage].set_index("group")["value"].reindex(names)
        rows.append((name, STAGE_NAMES[stage], [percent(value) for value in values]))
    return Groups(
        [(name, f"{counts[name]:.0f}" if name in counts else NOTHING) for name in names],
        [
            (said, [write(value) for value in known.loc[metric].reindex(names)])
            for metric, said, write in (
                ("relative_size", "Size, % of the image", percent),
                ("co_occurrence", "Co-occurrence, % with another tag", percent),
                (
                    "cardinality",
                    "Tags",
                    lambda value: NOTHING if pd.isna(value) else f"{value:.2f}",
                ),
            )
            if metric in known.index
        ],
        rows,
    )
