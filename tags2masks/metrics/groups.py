"""Means of the classes' figures and properties over groups of classes (P-NOC paper, table 8).

A group is named in the config (`report.class_groups`): a list of classes, or those of the smallest
or largest regions.
"""

from collections.abc import Sequence

import pandas as pd

from tags2masks.errors import UserError
from tags2masks.metrics.properties import PROPERTIES

GROUPS = (
    "experiment", "dataset", "split", "stage", "artifact", "metric", "group", "classes", "value",
    "threshold", "tuned_on_masks", "images",
)  # fmt: skip
SAME = ["experiment", "dataset", "split", "stage", "artifact", "metric", "threshold"]
SAME += ["tuned_on_masks", "images"]


def members(
    groups: dict[str, list[str] | dict[str, int]],
    classes: Sequence[str],
    properties: pd.DataFrame,
    where: str,
) -> dict[str, list[str]]:
    """The classes of each group.

    groups: as `report.class_groups` has those of a data set; classes: all names of the data set;
    properties: its properties.csv, whose `relative_size` on train orders classes by size. where:
    the config key of the groups. Raises UserError for a class that the data set does not have, or
    more classes than have a size.
    """
    sizes = properties[properties["split"] == "train"].set_index("class")["relative_size"]
    ordered = list(sizes.reindex(classes).dropna().sort_values(kind="stable").index)
    found = {}
    for name, group in groups.items():
        if isinstance(group, dict):
            ((end, count),) = group.items()
            if count > len(ordered):
                raise UserError(
                    f"{where}.{name}: {end}: {count}, but the training masks show "
                    f"{len(ordered)} classes; write at most this number"
                )
            found[name] = ordered[:count] if end == "smallest" else ordered[-count:]
        elif unknown := [of for of in group if of not in classes]:
            raise UserError(
                f"{where}.{name}: no class '{unknown[0]}'; choose from {', '.join(classes)}"
            )
        else:
            found[name] = list(group)
    return found


def group_figures(
    groups: dict[str, list[str]], metrics: pd.DataFrame, properties: pd.DataFrame, dataset: str
) -> pd.DataFrame:
    """Rows (`GROUPS`) of a data set's groups: unweighted means over those classes with a value.

    groups: from `members`; metrics: rows of metrics.csv of this data set; properties: its
    properties.csv. classes: the number of classes in the mean. Rows of the groups' properties
    (`relative_size`, `co_occurrence`, `cardinality`) come first and have no experiment.
    """
    tidy = properties.melt(["split", "class"], list(PROPERTIES), "metric", "value")
    tidy = tidy.assign(dataset=dataset)
    both = pd.concat([tidy, metrics], ignore_index=True).reindex(columns=[*SAME, "class", "value"])
    parts = []
    for name, mine in groups.items():
        rows = both[both["class"].isin(mine)].dropna(subset="value")
        means = rows.groupby(SAME, sort=False, dropna=False)["value"].agg(["mean", "size"])
        means = means.rename(columns={"mean": "value", "size": "classes"}).reset_index()
        parts.append(means.assign(group=name))
    table = pd.concat(parts, ignore_index=True)
    first = table["experiment"].notna()
    return table.assign(first=first).sort_values("first", kind="stable")[list(GROUPS)]
