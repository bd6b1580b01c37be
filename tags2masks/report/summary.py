"""The tables of all experiments: tidy metrics, and a leaderboard with a row per experiment."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tags2masks.data.index import read_index
from tags2masks.data.tables import read_checked, read_table
from tags2masks.data.warnings import Warned
from tags2masks.errors import UserError
from tags2masks.metrics.curve import thresholds as limits_of
from tags2masks.report.lineage import path_of
from tags2masks.score_file import read_score
from tags2masks.stages import STAGES, figured, measured
from tags2masks.supervision import label_cost, supervision_text

METRICS = (
    "experiment", "dataset", "split", "stage", "artifact", "metric", "class", "value",
    "threshold", "tuned_on_masks", "images",
)  # fmt: skip
FIGURES = (
    "classifier_map", "detector_ap", "detector_ap50", "seed_iou", "seed_background_score",
    "seed_iou_best", "seed_best_background_score", "mask_iou", "prediction_iou", "share_of_full",
    "seed_contour_f", "mask_contour_f", "prediction_contour_f", "seed_iou_val", "mask_iou_val",
    "instance_ap", "instance_ap50", "instance_abo",
    "prediction_ap", "prediction_ap50", "prediction_abo",
)  # fmt: skip
LEADERBOARD = (
    "experiment", "dataset", "seed", "supervision", "label_cost", *FIGURES,
    "prediction_split", "train_images", "prediction_images", "note",
)  # fmt: skip
MEAN, DEVIATION = "mean", "sd"  # in the column seed
SWEEP = (
    "parameter", "setting", "by", "by_setting", "chain", "dataset", "split", "stage", "metric",
    "value", "threshold", "tuned_on_masks", "images", "experiment",
)  # fmt: skip

WARNINGS = ("dataset", "experiment", *Warned._fields)
HEADLINES = {stage: f"{STAGES[stage].figure}_iou" for stage in figured("maps", "labels")}

MEND = "run again"


def tidy_metrics(outline: list[dict], evaluation: dict, results: Path) -> pd.DataFrame:
    """A row for every figure of every experiment (columns METRICS).

    outline: the experiments with their artifacts' ids. Rows of the metric `map` are the
    classifier's mean average precision on the tags of val, of `ap` a detector's on its boxes.
    evaluation: the config's background_score and thresholds.
    Raises UserError naming a file that is damaged, or was measured at other background scores.
    """
    tables = []
    for experiment in outline:
        for _, stage, artifact in experiment["steps"]:
            folder = results / experiment["dataset"] / stage / artifact
            kind = STAGES[stage].measured
            splits = ["", "val-"] if artifact in experiment["val"] else [""]
            parts = []
            if artifact in experiment["instances"] and experiment["has_instances"]:
                file = "metrics" if kind == "instances" else "instances"
                parts += [_read_figures(folder / f"{of}{file}.csv") for of in splits]
            pixels = kind not in (None, "instances") and experiment["has_truth"]
            if kind in ("tags", "boxes") or pixels:
                at = evaluation
                if chosen := experiment["seed_scores"].get(artifact):
                    record = score_of(results / experiment["dataset"], chosen)
                    at = evaluation | {"background_score": record["background_score"]}
                parts = [*(_measured(folder, of, stage, at) for of in splits), *parts]
            about = {key: experiment[key] for key in ("experiment", "dataset")}
            about |= {"stage": stage, "artifact": artifact}
            tables += [table.assign(**about) for table in parts]
    if not tables:
        return pd.DataFrame(columns=list(METRICS))
    return pd.concat(tables, ignore_index=True)[list(METRICS)]


def _read_figures(path: Path) -> pd.DataFrame:
    return _read(path, ["metric", "value", "threshold", "tuned_on_masks"], read_checked)


def read_outline(path: Path) -> dict:
    """Read the file of the rule `outline`: `experiments`, `evaluation`, `report`.

    Raises UserError naming the file if it is unreadable or not valid.
    """
    try:
        outline = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable ({error}); delete it and run again") from None
    if not isinstance(outline, dict) or not outline.get("experiments"):
        raise UserError(f"{path}: names no experiments; delete it and run again")
    return outline


def usual_split(figures: pd.DataFrame) -> pd.DataFrame:
    """Rows of metrics.csv or sweep.csv, without those of maps and masks of val's images."""
    of_train = [
        name
        for name in measured("maps", "objects", "instances", "labels")
        if STAGES[name].split == "train"
    ]
    return figures[~figures["stage"].isin(of_train) | (figures["split"] == "train")]


def last_of_stages(figures: pd.DataFrame) -> pd.DataFrame:
    """Rows of metrics.csv, sweep.csv or groups.csv; of a stage that a chain has twice, the last's.

    A chain with `amn`, for example, has maps twice.
    """
    measured = ["artifact", "value", "threshold", "images", "classes"]
    return figures.drop_duplicates(figures.columns.difference(measured), keep="last")


def _measured(folder: Path, of: str, stage: str, evaluation: dict) -> pd.DataFrame:
    """An artifact's figures; of: prefix of its tables' names, `val-` for val's images."""
    table = _read_figures(folder / f"{of}metrics.csv")
    if STAGES[stage].measured == "maps":
        _check_thresholds(table, folder, of, **evaluation)
    return table


def _read(path: Path, columns: list[str], check: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return pd.read_csv(
        path,
        usecols=check(path, columns, MEND).columns,
        dtype={"metric": str, "class": str},
        keep_default_na=False,  # a class may be called NA; only numbers are absent
        na_values={"value": [""], "threshold": [""]},
    )


def _check_thresholds(
    metrics: pd.DataFrame, folder: Path, of: str, background_score: float, thresholds: int
) -> None:
    """Refuse figures of maps that were measured with other options of the config.

    Snakemake measures again after such a change, unless its records are lost.
    """
    plain = ~metrics["tuned_on_masks"].astype(bool) & (metrics["metric"] == "iou")
    fixed = set(metrics.loc[plain, "threshold"].astype("float32"))
    if fixed - {np.float32(background_score)}:
        raise UserError(
            f"{folder / f'{of}metrics.csv'}: measured at the background score {fixed.pop():g}, but "
            f"evaluation.background_score is {background_score:g}; delete it and run again"
        )
    curve = _read(folder / f"{of}curve.csv", ["threshold"], read_table)
    scores = set(curve["threshold"].astype("float32"))
    if scores and scores != set(limits_of(thresholds, background_score)):
        raise UserError(
            f"{folder / f'{of}metrics.csv'}: measured at {len(scores)} background scores, which "
            f"are not those of evaluation.thresholds: {thresholds}; delete it and run again"
        )


def score_of(folder: Path, artifact: str) -> dict:
    """The record of a chosen background score; folder: of the data set's results."""
    return read_score(folder / "score" / artifact / STAGES["score"].file)


def leaderboard(
    metrics: pd.DataFrame, outline: list[dict], results: Path, warnings: pd.DataFrame
) -> pd.DataFrame:
    """A row per experiment (columns LEADERBOARD), per data set the best first.

    Figures are means over the classes with background, except `…_contour_f`, without background.
    `seed_iou_best` is at the background score with the best IoU on the training images' masks
    (tuned_on_masks); `seed_iou` and `seed_contour_f` are at the score of `evaluation`,
    fixed or chosen without masks.
    `…_val`: maps and masks of val's images, made from these images' tags.
    `detector_…`: of the boxes of val's images.
    `instance_…`: of the last instances of the training images; `prediction_ap`, `prediction_ap50`
    and `prediction_abo`: of predicted instances; means over the classes without background.
    train_images, prediction_images: number of measured training images, and of measured images of
    the predictions' split; if nothing is measured, the number of images.
    label_cost: seconds of labelling per training image (`tags2masks.supervision`).
    note: the notes of `warnings`, from `collect_warnings`.
    share_of_full: prediction_iou divided by that of the reference, the same segmenter, data set and
    seed trained on the true masks of all training images, if the config has one.
    Experiments with several seeds have two further rows, the mean and the sample standard
    deviation.
    """
    rows = [_leaderboard_row(metrics, experiment, results) for experiment in outline]
    for row, experiment in zip(rows, outline, strict=True):
        row["note"] = _note(experiment, warnings)
    table = pd.DataFrame(rows, columns=["path", *LEADERBOARD])
    table["share_of_full"] = _shares_of_full(table["prediction_iou"], outline)
    return _ordered(_with_spread(table))


def _leaderboard_row(metrics: pd.DataFrame, experiment: dict, results: Path) -> dict:
    folder = results / experiment["dataset"]
    index = read_index(folder / "train.csv", folder / "val.csv")
    images = int((index["split"] == "train").sum())
    learned = experiment["supervision"]
    labelled = (
        len(read_checked(folder / "labelled.csv", ["image"], MEND)) if "masks" in learned else 0
    )
    every = metrics[
        (metrics["experiment"] == experiment["experiment"]) & (metrics["class"] == "mean")
    ]
    # The first classifier's: one that follows masks is told the tags, so its mAP says nothing.
    ranked = every.loc[every["metric"] == "map", "value"]
    mine = last_of_stages(every)
    usual, on_val = usual_split(mine), mine[mine["split"] == "val"]

    def value(stage, metric, column="value", tuned=False, rows=usual):
        matching = rows[
            (rows["stage"] == stage)
            & (rows["metric"] == metric)
            & (rows["tuned_on_masks"] == tuned)
        ]
        return matching[column].item() if len(matching) else None

    def found(metric):
        """A figure of the last instances of the training images."""
        others = ("predictions", *measured("boxes"))
        rows = usual[~usual["stage"].isin(others) & (usual["metric"] == metric)]
        return rows["value"].iloc[-1] if len(rows) else None

    split = experiment["evaluate_on"] if "predictions" in experiment["artifacts"] else None
    predicted = (index["split"] == split).sum() if split else None
    counted = {stage: value(stage, "iou", "images") for stage in HEADLINES}
    return {
        "path": path_of(experiment),
        "experiment": experiment["experiment"],
        "dataset": experiment["dataset"],
        "seed": experiment["seed"],
        "supervision": supervision_text(learned, labelled, images),
        "label_cost": label_cost(learned, labelled, images),
        "classifier_map": ranked.iloc[0] if len(ranked) else None,
        "detector_ap": value("detector", "ap"),
        "detector_ap50": value("detector", "ap50"),
        "seed_iou": value("maps", "iou"),
        "seed_background_score": value("maps", "iou", "threshold"),
        "seed_iou_best": value("maps", "iou", tuned=True),
        "seed_best_background_score": value("maps", "iou", "threshold", tuned=True),
        "mask_iou": value("masks", "iou"),
        "prediction_iou": value("predictions", "iou"),
        "seed_contour_f": value("maps", "contour_f"),
        "mask_contour_f": value("masks", "contour_f"),
        "prediction_contour_f": value("predictions", "contour_f"),
        "seed_iou_val": value("maps", "iou", rows=on_val),
        "mask_iou_val": value("masks", "iou", rows=on_val),
        **{f"instance_{metric}": found(metric) for metric in ("ap", "ap50", "abo")},
        **{
            f"prediction_{metric}": value("predictions", metric) for metric in ("ap", "ap50", "abo")
        },
        "prediction_split": split,
        "train_images": next((n for n in (counted["masks"], counted["maps"]) if n), images),
        "prediction_images": counted["predictions"] or predicted,
    }


def _note(experiment: dict, warnings: pd.DataFrame) -> str:
    concerned = (warnings["dataset"] == experiment["dataset"]) & warnings["experiment"].isin(
        ("", experiment["experiment"])
    )
    unmeasured = []
    if not experiment["has_truth"]:
        unmeasured.append("no masks: quality not measured")
    elif experiment["instances"] and not experiment["has_instances"]:
        unmeasured.append("no true instances: instances not measured")
    return "; ".join([*unmeasured, *warnings.loc[concerned, "note"]])


def _shares_of_full(iou: pd.Series, outline: list[dict]) -> list[float | None]:
    """Each experiment's prediction IoU, divided by that of its reference."""
    full = {
        _reference_key(experiment): value
        for experiment, value in zip(outline, iou, strict=True)
        if experiment["full"] and "predictions" in experiment["artifacts"]
    }
    references = [full.get(_reference_key(experiment)) for experiment in outline]
    return [
        value / reference if reference and pd.notna(value) else None
        for value, reference in zip(iou, references, strict=True)
    ]


def _reference_key(experiment: dict) -> tuple[str, str, int]:
    """The key that an experiment shares with its reference: images, segmenter's entry, seed."""
    return experiment["data"], path_of(experiment).rpartition("/")[2], experiment["seed"]


def _with_spread(table: pd.DataFrame) -> pd.DataFrame:
    """The rows, and for each path with several seeds two more: mean and standard deviation."""
    parts = [table]
    for path, mine in table.groupby("path", sort=False):
        if len(mine) > 1:
            numbers = mine[list(FIGURES)].astype(float)
            for word, figures in ((MEAN, numbers.mean()), (DEVIATION, numbers.std())):
                about = mine.iloc[[0]].assign(experiment=path, seed=word)
                parts.append(about.assign(**figures))
    objects = pd.concat([part.astype(object) for part in parts], ignore_index=True)
    return objects.astype(dict.fromkeys([*FIGURES, "label_cost"], float))


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Sort by data set, best path first; within a path the mean, the deviation, then the seeds."""
    best = ["prediction_iou", "mask_iou", "seed_iou"]
    place = table["seed"].map({MEAN: 0, DEVIATION: 1}).fillna(2)
    leading = table.assign(place=place).sort_values("place").drop_duplicates("path")
    order = leading.set_index("path")[best].astype(float)
    keys = {f"by_{name}": -table["path"].map(order[name]) for name in best}
    return (
        table.assign(**keys, place=place)
        .sort_values(["dataset", *keys, "path", "place", "experiment"])
        .reset_index(drop=True)[list(LEADERBOARD)]
    )


def sweep_table(metrics: pd.DataFrame, outline: list[dict]) -> pd.DataFrame:
    """The means over the classes of the experiments that belong to a sweep (columns SWEEP).

    metrics: columns METRICS. parameter: the swept field; setting: its value; by, by_setting: those
    of the second parameter, empty if there is one alone; chain: the experiment as written.
    Rows are in the order of the outline, which is that of the config.
    """
    means = metrics[metrics["class"] == "mean"]
    parts = []
    for experiment in outline:
        if "sweep" in experiment:
            swept = experiment["sweep"]
            about = {
                "parameter": swept["parameter"],
                "setting": swept["value"],
                "by": swept.get("by", ""),
                "by_setting": swept.get("by_value", ""),
                "chain": swept["chain"],
            }
            parts.append(means[means["experiment"] == experiment["experiment"]].assign(**about))
    if not parts:
        return pd.DataFrame(columns=list(SWEEP))
    return pd.concat(parts, ignore_index=True)[list(SWEEP)]
