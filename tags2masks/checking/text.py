"""The summary of a check, as text: a table of classes and splits, and the findings."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from tags2masks.checking.dataset import Checked
from tags2masks.checking.findings import ERROR, NOTE, WARNING, Finding
from tags2masks.checking.images import formats_of
from tags2masks.user_tables import SPLITS
from tags2masks.workflow.checkout import start_command

MOST = 20  # findings of a level
LEVELS = (ERROR, WARNING, NOTE)


def summary(name: str, title: str, checked: Checked) -> str:
    """The data set's table and findings; name: its entry in the config, title: of its kind."""
    index = checked.index
    splits = [s for s in SPLITS if s in set(index["split"]) or s in checked.unreadable]
    lines = [f"{name}: {title}, {len(checked.classes)} classes"]
    if splits:
        lines += _table(checked, splits)
        lines += [f"  {'sizes':12s} {_sizes(index)}"] if len(index) else []
        lines += [f"  {'files':12s} {formats_of(index['stored'])}"] if len(index) else []
    if checked.masks:
        lines.append("  masks are read for this check alone; no method has seen them")
    return "\n".join([*lines, *listed(checked.findings)])


def listed(findings: Sequence[Finding]) -> list[str]:
    """A line for each finding, errors first, at most MOST of a level."""
    lines = []
    for level in LEVELS:
        mine = [finding for finding in findings if finding.level == level]
        lines += [f"  {level}: {finding.text}" for finding in mine[:MOST]]
        lines += [f"  {level}: … and {len(mine) - MOST} more"] if len(mine) > MOST else []
    return lines


def _table(checked: Checked, splits: list[str]) -> list[str]:
    """Rows of images, and of classes by their tags; beside them by their masks."""
    index, masked = checked.index, checked.masks or {}
    columns = [(split, kind) for split in splits for kind in ("tags", "masks")]
    columns = [(split, kind) for split, kind in columns if kind == "tags" or split in masked]
    tags = {split: index.loc[index["split"] == split, "tags"] for split in splits}
    counts = {split: Counter(t for some in tags[split] for t in some) for split in splits}

    def cells(of_tags: dict[str, int], of_masks: dict[str, int]) -> list[str]:
        return [f"{(of_tags if kind == 'tags' else of_masks)[split]:,}" for split, kind in columns]

    none = dict.fromkeys(splits, 0)
    rows = [["", *(split if kind == "tags" else "masks" for split, kind in columns)]]
    rows.append(["images", *cells({s: len(tags[s]) for s in splits}, none | masked)])
    if checked.unreadable:
        rows.append(["unreadable", *cells(none | checked.unreadable, none)])
    for at, name in enumerate(checked.classes):
        shown = {split: int(numbers[at]) for split, numbers in checked.shown.items()}
        rows.append([name, *cells({s: counts[s][name] for s in splits}, none | shown)])
    if checked.classes:
        rows.append(["(no tag)", *cells({s: sum(not t for t in tags[s]) for s in splits}, none)])
        for column, (_, kind) in enumerate(columns, start=1):
            if kind == "masks":
                rows[-1][column] = ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            [row[0].ljust(max(widths[0], 12)), *map(str.rjust, row[1:], widths[1:])]
        ).rstrip()
        for row in rows
    ]


def _sizes(index: pd.DataFrame) -> str:
    """The smallest, usual and largest image, by pixels: "64 × 48 to 640 × 480, mostly …"."""
    order = (index["height"] * index["width"]).sort_values(kind="stable").index
    sizes = [f"{index.at[at, 'width']} × {index.at[at, 'height']}" for at in order]
    if len(set(sizes)) == 1:
        return f"{sizes[0]} pixels (width × height)"
    usual, count = Counter(sizes).most_common(1)[0]
    often = f", {count:,} of {usual}" if count > 1 else ""
    return f"{sizes[0]} to {sizes[-1]} pixels (width × height){often}"


def conclusion(config: str, findings: list[Finding]) -> str:
    """The last line of a check."""
    counts = Counter(finding.level for finding in findings)
    said = " and ".join(
        f"{counts[level] or 'no'} {level}{'' if counts[level] == 1 else 's'}"
        for level in (ERROR, WARNING)
    )
    if counts[ERROR]:
        return f"{config}: {said}; the workflow would stop: correct the errors and check again"
    return f"{config}: {said}; start with: {start_command(config)}"
