"""The figures of all experiments in two tables: one tidy, one a row per experiment."""

from pathlib import Path

import pandas as pd

from tags2masks.data.index import read_index, read_table
from tags2masks.errors import UserError
from tags2masks.metrics.sweep import thresholds as limits_of
from tags2masks.stages import STAGES

METRICS = (
    "experiment", "dataset", "split", "stage", "artifact", "metric", "class", "value",
    "threshold", "tuned_on_masks", "images",
)  # fmt: skip
LEADERBOARD = (
    "experiment", "dataset", "classifier_map", "seed_iou", "seed_background_score",
    "seed_iou_best", "seed_best_background_score", "mask_iou", "prediction_iou",
    "seed_contour_f", "mask_contour_f", "prediction_contour_f",
    "prediction_split", "train_images", "prediction_images", "note",
)  # fmt: skip
SWEEP = (
    "parameter", "setting", "chain", "dataset", "split", "stage", "metric", "value", "threshold",
    "tuned_on_masks", "images", "experiment",
)  # fmt: skip

MEND = "run again"


def tidy_metrics(outline: list[dict], evaluation: dict, results: Path) -> pd.DataFrame:
    """Every figure of every experiment, a row each (columns METRICS).

    outline: the experiments with their artifacts' ids. `map` rows are the classifier's mean average
    precision on the tags of the val split.
    evaluation: the config's background_score and thresholds.
    Raises UserError naming the file when one is damaged, or was measured at others than these.
    """
    tables = []
    for one in outline:
        for _, stage, artifact in one["steps"]:
            folder = results / one["dataset"] / stage / artifact
            if stage == "classifier":
                table = _classifier_rows(folder / "training.csv", one, results)
            elif STAGES[stage].measured and one["has_truth"]:
                table = _read(
                    folder / "metrics.csv", ["metric", "value", "threshold", "tuned_on_masks"]
                )
                if STAGES[stage].measured == "maps":
                    _check_thresholds(table, folder, **evaluation)
            else:
                continue
            about = {key: one[key] for key in ("experiment", "dataset")}
            tables.append(table.assign(**about, stage=stage, artifact=artifact))
    return pd.concat(tables, ignore_index=True)[list(METRICS)]


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    read_table(path, columns, MEND)  # refuses a damaged one
    return pd.read_csv(path)


def _check_thresholds(
    metrics: pd.DataFrame, folder: Path, background_score: float, thresholds: int
) -> None:
    """Refuse figures of maps that were measured when the config said something else.

    Snakemake measures anew after such a change, unless its records are lost.
    """
    plain = ~metrics["tuned_on_masks"].astype(bool) & (metrics["metric"] == "iou")
    fixed = set(metrics.loc[plain, "threshold"])
    if fixed - {background_score}:
        raise UserError(
            f"{folder / 'metrics.csv'}: measured at the background score {fixed.pop()}, but "
            f"evaluation.background_score is {background_score}; delete it and run again"
        )
    curve = _read(folder / "curve.csv", ["threshold"])
    steps = set(curve["threshold"].astype("float32"))
    if steps and steps != set(limits_of(thresholds, background_score)):
        raise UserError(
            f"{folder / 'metrics.csv'}: measured at {len(steps)} background scores, which are not "
            f"those of evaluation.thresholds: {thresholds}; delete it and run again"
        )


def _classifier_rows(training: Path, one: dict, results: Path) -> pd.DataFrame:
    last = _read(training, ["epoch"]).iloc[-1]
    images = (read_index(results / one["dataset"] / "index.csv")["split"] == "val").sum()
    columns = ["split", "metric", "class", "value", "threshold", "tuned_on_masks", "images"]
    if pd.isna(last.get("val_map")):  # no val images, or none that tells classes apart
        return pd.DataFrame(columns=columns)
    row = ("val", "map", "mean", last["val_map"], None, False, images)
    return pd.DataFrame([row], columns=columns)


def leaderboard(metrics: pd.DataFrame, outline: list[dict], results: Path) -> pd.DataFrame:
    """A row per experiment (columns LEADERBOARD), per data set the best first.

    All figures are means over classes, background included but in `…_contour_f`, which it has not.
    `seed_iou_best` is at the background score that the pixel masks of the training images like best
    (tuned_on_masks), `seed_iou` and `seed_contour_f` at the config's fixed one.
    """
    rows = []
    for one in outline:
        index = read_index(results / one["dataset"] / "index.csv")
        mine = metrics[(metrics["experiment"] == one["experiment"]) & (metrics["class"] == "mean")]

        def value(stage, metric, column="value", tuned=False, mine=mine):
            found = mine[
                (mine["stage"] == stage)
                & (mine["metric"] == metric)
                & (mine["tuned_on_masks"] == tuned)
            ]
            return found[column].iloc[0] if len(found) else None

        ends_in_predictions = "predictions" in one["artifacts"]
        split = one["evaluate_on"] if ends_in_predictions else None
        rows.append(
            {
                "experiment": one["experiment"],
                "dataset": one["dataset"],
                "classifier_map": value("classifier", "map"),
                "seed_iou": value("maps", "iou"),
                "seed_background_score": value("maps", "iou", "threshold"),
                "seed_iou_best": value("maps", "iou", tuned=True),
                "seed_best_background_score": value("maps", "iou", "threshold", tuned=True),
                "mask_iou": value("masks", "iou"),
                "prediction_iou": value("predictions", "iou"),
                "seed_contour_f": value("maps", "contour_f"),
                "mask_contour_f": value("masks", "contour_f"),
                "prediction_contour_f": value("predictions", "contour_f"),
                "prediction_split": split,
                "train_images": (index["split"] == "train").sum(),
                "prediction_images": (index["split"] == split).sum() if split else None,
                "note": "" if one["has_truth"] else "no masks: quality not measured",
            }
        )
    table = pd.DataFrame(rows, columns=list(LEADERBOARD))
    best = ["prediction_iou", "mask_iou", "seed_iou"]
    return table.sort_values(
        ["dataset", *best, "experiment"], ascending=[True, False, False, False, True]
    ).reset_index(drop=True)


def sweep_table(metrics: pd.DataFrame, outline: list[dict]) -> pd.DataFrame:
    """The means over the classes of the experiments that belong to a sweep (columns SWEEP).

    metrics: columns METRICS. parameter: the swept field; setting: its value; chain: the experiment
    as the config names it, before the sweep. In the order of the outline, so of the config.
    """
    means = metrics[metrics["class"] == "mean"]
    parts = []
    for one in outline:
        if "sweep" in one:
            swept = one["sweep"]
            about = {
                "parameter": swept["parameter"],
                "setting": swept["value"],
                "chain": swept["chain"],
            }
            parts.append(means[means["experiment"] == one["experiment"]].assign(**about))
    if not parts:
        return pd.DataFrame(columns=list(SWEEP))
    return pd.concat(parts, ignore_index=True)[list(SWEEP)]
