"""Quality without masks: the tables of all experiments, and what the report says of them.

`tags2masks.plausibility` says what the figures are.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from scipy.stats import spearmanr

from tags2masks.data.tables import read_checked, read_table
from tags2masks.data.warnings import listed
from tags2masks.plausibility import ANY, COUNTS, DOUBTS, PARTS, PLAUSIBILITY
from tags2masks.report import plots
from tags2masks.report.tables import NOTHING, percent
from tags2masks.scores.doubts import LEAST, MOST, OFTEN
from tags2masks.stages import STAGES, figured

MEND = "run the workflow again"
ABOUT = ("experiment", "dataset", "stage", "artifact")
TIDY = (*ABOUT, *PLAUSIBILITY)
CORRELATIONS = (*ABOUT, "part", "spearman", "images")
FEWEST = 3  # images of a class for a warning, images for a correlation
AGREEING = 0.5
"""Warn if a class's masks have less than this mean IoU with others."""
COLUMNS = (
    ("Images", "tagged"),
    ("Share", "% of the image, mean"),
    ("Share", "10 to 90 % of images"),
    ("Absent", "no pixel of it"),
    ("Hardly", f"below {100 * LEAST:g} %"),
    ("Large", f"over {100 * MOST:g} %"),
    ("Untagged", "images"),
    ("Agreement", "IoU with other masks"),
)


def tidy_plausibility(outline: list[dict], results: Path) -> pd.DataFrame:
    """The figures of each experiment's masks and predictions by class (columns `TIDY`).

    outline: the experiments with their artifacts' ids. Raises UserError naming a damaged file.
    """
    tables = [pd.DataFrame(columns=list(TIDY))]
    for about, folder in _artifacts(outline, results):
        table = read_checked(folder / "plausibility.csv", PLAUSIBILITY, MEND)
        tables.append(with_numbers(table).assign(**about))
    parts = [table for table in tables if len(table)] or tables
    return pd.concat(parts, ignore_index=True)[list(TIDY)]


def read_plausibility(path: Path | str) -> pd.DataFrame:
    """plausibility.csv of all experiments, with numbers converted and names as text."""
    return with_numbers(read_table(path, TIDY, MEND))


def with_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the figures of `PLAUSIBILITY` as numbers."""
    names = [name for name in PLAUSIBILITY if name not in ("split", "class")]
    numbers = {name: pd.to_numeric(table[name]) for name in names}
    return table.assign(**numbers).astype(dict.fromkeys(COUNTS, int))


def doubt_correlations(outline: list[dict], results: Path) -> pd.DataFrame:
    """Spearman's correlation of the doubt on each image, and of its parts, with the image's IoU.

    Rows (`CORRELATIONS`) of the experiments with pixel masks: -1 if the doubts are in the order of
    the IoU, the worst first; 0 if they have nothing to do with it. images: those that have both.
    NaN for fewer than `FEWEST`, or where all have the same value.
    """
    rows = []
    measured = [experiment for experiment in outline if experiment["has_truth"]]
    for about, folder in _artifacts(measured, results):
        doubts = read_checked(folder / "doubts.csv", DOUBTS, MEND)
        quality = read_table(folder / "images.csv", ["image", "iou"], MEND)
        both = doubts.merge(quality, on="image")
        for part in ("doubt", *PARTS):
            pairs = both[[part, "iou"]].apply(pd.to_numeric).dropna()
            known = len(pairs) >= FEWEST and (pairs.nunique() > 1).all()
            value = spearmanr(pairs[part], pairs["iou"]).statistic if known else None
            rows.append((*about.values(), part, value, len(pairs)))
    return pd.DataFrame(rows, columns=list(CORRELATIONS))


def read_doubt_correlations(path: Path | str) -> pd.DataFrame:
    """doubt_correlations.csv with numbers converted."""
    table = read_table(path, CORRELATIONS, MEND)
    return table.assign(spearman=pd.to_numeric(table["spearman"]))


def _artifacts(outline: list[dict], results: Path) -> list[tuple[dict[str, str], Path]]:
    """The masks and predictions of each experiment: its columns `ABOUT`, and the folder."""
    return [
        (
            dict(zip(ABOUT, (experiment["experiment"], experiment["dataset"], stage, artifact),
                     strict=True)),
            results / experiment["dataset"] / stage / artifact,
        )
        for experiment in outline
        for _, stage, artifact in experiment["steps"]
        if stage in figured("labels")
    ]  # fmt: skip


def plausibility_warnings(rows: pd.DataFrame) -> list[str]:
    """What is odd about an artifact's masks; rows: its rows of `read_plausibility`.

    The limits are those of `scores.doubts`. Classes of fewer than `FEWEST` images are left out.
    """
    classes = rows[(rows["class"] != ANY) & (rows["images"] >= FEWEST)]
    said = []
    absent = classes[classes["absent"] > OFTEN]
    if len(absent):
        names = [
            f"{row['class']} ({row['absent_images']} of {row['images']})"
            for row in absent.to_dict("records")
        ]
        said.append(
            f"absent from more than {OFTEN:.0%} of the images tagged with it: {listed(names)}; "
            "look at these, the tags may be wrong or the background score too high"
        )
    hardly = classes[(classes["hardly"] >= OFTEN) & ~classes.index.isin(absent.index)]
    if len(hardly):
        said.append(
            f"hardly a pixel (below {100 * LEAST:g} % of the image) in {OFTEN:.0%} or more of the "
            f"images tagged with it: {listed(hardly['class'].tolist())}"
        )
    large = classes[classes["share"] > MOST]
    if len(large):
        said.append(
            f"covers more than {MOST:.0%} of its images on average: "
            f"{listed(large['class'].tolist())}; objects nearly fill these, or masks follow the "
            "scene"
        )
    apart = classes[classes["agreement"] < AGREEING]
    if len(apart):
        said.append(
            f"the masks of this run disagree (mean IoU below {100 * AGREEING:g} %) on "
            f"{listed(apart['class'].tolist())}; at least one of them is wrong there"
        )
    untagged = classes[classes["untagged_images"] > classes["images"] * OFTEN]
    if len(untagged):
        names = [
            f"{row['class']} ({row['untagged_images']})" for row in untagged.to_dict("records")
        ]
        said.append(
            f"often seen in images without its tag: {listed(names)}; tags are incomplete, or the "
            "class is taken for another"
        )
    return said


def stage_rows(rows: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Per class its name and the formatted figures of `COLUMNS`; rows: as above."""
    return [
        (
            row["class"],
            [
                f"{row['images']:,}",
                percent(row["share"]),
                _range(row["share_q10"], row["share_q90"]),
                _counted(row["absent_images"], row["absent"]),
                percent(row["hardly"]),
                _counted(row["large_images"], row["large"]),
                f"{row['untagged_images']:,}",
                percent(row["agreement"]),
            ],
        )
        for row in rows.to_dict("records")
    ]


def _range(low: float, high: float) -> str:
    return NOTHING if pd.isna(low) else f"{percent(low)} to {percent(high)}"


def _counted(count: int, share: float) -> str:
    return NOTHING if pd.isna(share) else f"{count:,} ({percent(share)}\N{NO-BREAK SPACE}%)"


def shown_plausibility(
    key: str,
    experiment: dict,
    number: int,
    table: pd.DataFrame,
    correlations: pd.DataFrame | None,
) -> dict | None:
    """What the page says of an experiment's last masks and predictions; None if it has neither.

    key: prefix of the chart's ids; number: the colour's. table: from `read_plausibility`;
    correlations: from `read_doubt_correlations`, if there are true masks.
    """
    stages = {
        stage: mine
        for stage in figured("labels")
        if len(mine := _of_stage(table, experiment, stage))
    }
    if not stages:
        return None
    names = [STAGES[stage].figure for stage in stages]
    values, ranges = _bars(list(stages.values()))
    return {
        "svg": plots.class_bars(key, names, values, number, "share of the image, %", ranges),
        "alt": "Mean share of all classes: "
        + ", ".join(
            f"{name} {percent(value)} %" for name, value in zip(names, values[0][1], strict=True)
        ),
        "stages": [
            {
                "figure": STAGES[stage].figure,
                "split": mine["split"].iloc[0],
                "rows": stage_rows(mine),
                "warnings": plausibility_warnings(mine),
                "correlation": _correlation(experiment, stage, correlations),
            }
            for stage, mine in stages.items()
        ],
    }


def grouped_doubts(shown: Mapping[str, dict]) -> list[tuple[str, list[str]]]:
    """Each warning once, with the chains and stages that it is about; shown: by chain."""
    said: dict[str, list[str]] = {}
    for chain, about in shown.items():
        for stage in about["stages"]:
            for text in stage["warnings"]:
                said.setdefault(text, []).append(f"{chain} ({stage['figure']})")
    return list(said.items())


def sheets_of(outline: Sequence[dict]) -> dict[str, dict]:
    """The contact sheets of the experiments' masks: the first experiment with each, by its path.

    Paths are relative to the report.
    """
    sheets: dict[str, dict] = {}
    for experiment in outline:
        masks = experiment["artifacts"].get("masks")
        if masks and experiment["sheets"]:
            path = f"{quote(experiment['dataset'])}/sheets/{masks}.html"
            sheets.setdefault(path, experiment)
    return sheets


def _of_stage(table: pd.DataFrame, experiment: dict, stage: str) -> pd.DataFrame:
    """The rows of the experiment's last artifact of a stage."""
    return table[
        (table["experiment"] == experiment["experiment"])
        & (table["stage"] == stage)
        & (table["artifact"] == experiment["artifacts"].get(stage))
    ]


def _correlation(experiment: dict, stage: str, correlations: pd.DataFrame | None) -> str | None:
    if correlations is None:
        return None
    mine = _of_stage(correlations, experiment, stage)
    known = mine[(mine["part"] == "doubt") & mine["spearman"].notna()]
    return f"{known['spearman'].iloc[0]:.2f}" if len(known) else None


def _bars(stages: Sequence[pd.DataFrame]) -> tuple[list, list]:
    """Values and ranges for `plots.class_bars`: mean share, 10 to 90 % of the images, by stage."""
    known = [rows.dropna(subset=["share"]).set_index("class") for rows in stages]
    values, ranges = [], []
    for name in stages[0]["class"]:
        at = [rows.loc[name] if name in rows.index else None for rows in known]
        if any(row is not None for row in at):
            values.append((name, [None if row is None else row["share"] for row in at]))
            ranges.append([None if r is None else (r["share_q10"], r["share_q90"]) for r in at])
    return values, ranges
