"""The warnings of a run: on its data sets, means, trainings and chosen scores."""

from pathlib import Path

import pandas as pd

from tags2masks.data.index import read_classes
from tags2masks.data.tables import read_table
from tags2masks.data.warnings import Warned, listed, read_warnings
from tags2masks.report.settled import settled_warnings
from tags2masks.report.summary import HEADLINES, WARNINGS, score_of, usual_split


def collect_warnings(metrics: pd.DataFrame, outline: list[dict], results: Path) -> pd.DataFrame:
    """The warnings on data sets and figures (columns WARNINGS).

    experiment: "" for warnings on a data set. Those are in tables of `data.warnings`, one per split
    and, with masks, one from `measure_classes`.
    """
    rows = []
    for name in dict.fromkeys(experiment["dataset"] for experiment in outline):
        mine = [experiment for experiment in outline if experiment["dataset"] == name]
        files = ["train", "val", "ood", *(["masks"] if mine[0]["has_truth"] else [])]
        for file in files:
            warnings = read_warnings(results / name / f"{file}-warnings.csv")
            rows += [(name, "", *warned) for warned in warnings]
        classes = ["background", *read_classes(results / name / "classes.txt")]
        rows += [
            (name, experiment["experiment"], *warned)
            for experiment in mine
            for warned in (
                *_partial_means(metrics, experiment["experiment"], classes),
                *_score_warnings(experiment, results / name),
                *_training_warnings(experiment, results / name),
                *_curve_warnings(experiment, results / name),
            )
        ]
    return pd.DataFrame(rows, columns=list(WARNINGS))


def _training_warnings(experiment: dict, folder: Path) -> list[Warned]:
    """Warnings of an experiment's trainings, of those that write a table of them."""
    files = [folder / stage / id_ / "warnings.csv" for _, stage, id_ in experiment["steps"]]
    return [warned for file in files if file.exists() for warned in read_warnings(file)]


def _curve_warnings(experiment: dict, folder: Path) -> list[Warned]:
    """Warnings on classifiers of an experiment that got worse as they learned."""
    warnings = []
    for _, stage, id_ in experiment["steps"]:
        if stage == "classifier":
            curve = read_table(folder / stage / id_ / "training.csv", ["epoch"], "run again")
            warnings += settled_warnings(curve, id_)
    return warnings


def _score_warnings(experiment: dict, folder: Path) -> list[list[str]]:
    """Warnings on the background scores that were chosen for an experiment, each once."""
    chosen = dict.fromkeys(id_ for _, stage, id_ in experiment["steps"] if stage == "score")
    warnings = [tuple(warning) for id_ in chosen for warning in score_of(folder, id_)["warnings"]]
    return [list(warning) for warning in dict.fromkeys(warnings)]


def _partial_means(metrics: pd.DataFrame, experiment: str, classes: list[str]) -> list[Warned]:
    """Warnings on an experiment's mean IoUs that do not include all classes."""
    rows = usual_split(metrics[metrics["experiment"] == experiment])
    rows = rows[(rows["metric"] == "iou") & ~rows["tuned_on_masks"].astype(bool)]
    without: dict[tuple[str, ...], list[str]] = {}
    for stage, figure in HEADLINES.items():
        known = set(rows.loc[rows["stage"] == stage, "class"])
        if known and (absent := tuple(name for name in classes if name not in known)):
            without.setdefault(absent, []).append(figure)
    return [
        Warned(
            f"{listed(figures)} without {listed(absent)}",
            f"{listed(figures)}: a mean over {len(classes) - len(absent)} of {len(classes)} "
            f"classes, without {listed(absent)}, which no mask shows and nothing was taken for; "
            "do not compare it with a mean over all",
        )
        for absent, figures in without.items()
    ]
