"""The report as one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from tags2masks.config.datasets import KINDS
from tags2masks.references import bibtex
from tags2masks.report import gallery as examples
from tags2masks.report import leaderboard, plots, reading, tables
from tags2masks.report.against import against_charts, dataset_of
from tags2masks.report.charts import bars, charts
from tags2masks.report.class_groups import group_table
from tags2masks.report.colours import BACKGROUND, HATCH
from tags2masks.report.costs import cost_chart, cost_group
from tags2masks.report.differences import difference_charts
from tags2masks.report.examples import BADLY, EVENLY, WELL
from tags2masks.report.instance_table import INSTANCE_METRICS, instance_table
from tags2masks.report.lineage import (
    artifact_details,
    artifacts_of,
    chain_numbers,
    chain_of,
    first_seeds,
    label_of,
    path_of,
)
from tags2masks.report.map_rows import side_by_side, untagged_maps
from tags2masks.report.ood_rows import ood_rows
from tags2masks.report.plausibility import COLUMNS as PLAUSIBILITY
from tags2masks.report.plausibility import (
    grouped_doubts,
    read_doubt_correlations,
    read_plausibility,
    sheets_of,
    shown_plausibility,
)
from tags2masks.report.prediction_rows import prediction_rows
from tags2masks.report.prototypes import shown_prototypes
from tags2masks.report.published import epoch_figures, published_tables, with_groups
from tags2masks.report.shown_analyses import analysis_pictures
from tags2masks.report.stored import read_dataset
from tags2masks.report.summary import last_of_stages, usual_split
from tags2masks.report.sweeps import sweep_charts
from tags2masks.report.templates import page_template
from tags2masks.stages import STAGES

GROUPS = {
    WELL: ("Well done", "masks spread over the best fifth by IoU"),
    BADLY: ("Badly done", "masks spread over the worst fifth by IoU"),
    EVENLY: ("Spread evenly", "over the training images: there is no IoU to choose by"),
}
OWN = "nothing beside what it is made from"
SPLITS = {"train": "training", "val": "validation", "ood": "out-of-domain"}


def write_page(
    outline: list[dict],
    roots: dict[str, dict],
    results: Path,
    count: int,
    report: Mapping,
    published: Sequence[Path] = (),
    asked: Sequence[Path] = (),
) -> str:
    """The page of the experiments in `outline`, from the files under `results`.

    outline: per experiment its name, dataset, has_truth, evaluate_on and artifact ids by stage.
    roots: per data set root (of images), truth_root (of masks) and spec (its config block).
    count: example images per group. report: the outline's settings of the report. published: tables
    of published figures; asked: optional tables that the config asks for, of maps after each epoch
    and of each step.
    Equal files give equal text. Raises UserError naming a file that is absent or does not match.
    """
    numbers = chain_numbers(outline)
    metrics = reading.read_metrics(results / "metrics.csv")
    metrics = metrics[metrics["experiment"].isin(numbers)]
    board = reading.read_leaderboard(results / "leaderboard.csv")
    known = numbers | {
        path_of(experiment): numbers[experiment["experiment"]] for experiment in outline
    }
    board = board[board["experiment"].isin(known)]
    warned = reading.read_warnings(results / "warnings.csv")
    names = list(dict.fromkeys(experiment["dataset"] for experiment in outline))
    swept = None
    if any("sweep" in experiment for experiment in outline):
        swept = reading.read_sweep(results / "sweep.csv")
        swept = swept[swept["experiment"].isin(numbers)]
    related = doubted = None
    if any(experiment["has_truth"] for experiment in outline):
        related = reading.read_correlations(results / "correlations.csv")
        related = related[related["experiment"].isin(numbers)]
        doubted = read_doubt_correlations(results / "doubt_correlations.csv")
    groups = reading.read_groups(results / "groups.csv") if report["class_groups"] else None
    plausible = read_plausibility(results / "plausibility.csv")
    datasets = [
        _dataset(
            [experiment for experiment in outline if experiment["dataset"] == name],
            place,
            roots[name],
            results,
            metrics[metrics["dataset"] == name],
            None if swept is None else swept[swept["dataset"] == name],
            None if related is None else related[related["dataset"] == name],
            None if groups is None else groups[groups["dataset"] == name],
            plausible,
            doubted,
            numbers,
            count,
            asked,
            report,
            [
                chart
                for number, wanted in enumerate(report["against"])
                if dataset_of(wanted) == name
                for chart in against_charts(
                    f"against{number}", wanted, metrics, report["sweep_figures"]
                )
            ],
            cost_group(name, outline),
            board,
            tables.grouped_warnings(warned[warned["dataset"] == name]),
        )
        for place, name in enumerate(names)
    ]
    return page_template("page.html.jinja").render(
        datasets=datasets,
        experiments=len(outline),
        masked=sum("masks" in experiment["supervision"] for experiment in outline),
        columns=leaderboard.shown_columns(board),
        instance_metrics=[tables.METRIC_NAMES[name] for name in INSTANCE_METRICS],
        rows=leaderboard.leaderboard_cells(board),
        bibtex=bibtex(report["cited"]),
        nothing=tables.NOTHING,
        measured=any(experiment["has_truth"] for experiment in outline),
        numbers=known,
        published=published_tables(
            published, outline, with_groups(metrics, groups), epoch_figures(outline, results, asked)
        ),
        stages=_stages(datasets, outline),
        headings=GROUPS,
        said_splits=SPLITS,
        plausibility=PLAUSIBILITY,
        shades=plots.SHADES,
        series=plots.SERIES,
        background="#{:02x}{:02x}{:02x}".format(*BACKGROUND),
        hatch=["#{:02x}{:02x}{:02x}".format(*grey) for grey in HATCH],
        seen=set(),
    )


def _dataset(
    outline: list[dict],
    place: int,
    where: dict,
    results: Path,
    metrics: pd.DataFrame,
    swept: pd.DataFrame | None,
    related: pd.DataFrame | None,
    groups: pd.DataFrame | None,
    plausible: pd.DataFrame,
    doubted: pd.DataFrame | None,
    numbers: dict[str, int],
    count: int,
    asked: Sequence[Path],
    report: Mapping,
    against: Sequence[dict],
    group: list[dict],
    board: pd.DataFrame,
    warned: list[str],
) -> dict:
    """The page's data for a data set."""
    name, has_truth = outline[0]["dataset"], outline[0]["has_truth"]
    pairs = [pair for pair in report["compare"] if pair["names"][0].partition("/")[0] == name]
    read = read_dataset(name, where, results, has_truth)
    key = f"d{place}"
    usual = usual_split(metrics)
    artifacts = {stage: artifacts_of(stage, outline, numbers, results) for stage in STAGES}
    of = {
        experiment["experiment"]: metrics[metrics["experiment"] == experiment["experiment"]]
        for experiment in outline
    }
    first = first_seeds(outline)
    on_val = [experiment for experiment in first if experiment["evaluate_on"] == "val"]
    properties = None
    if has_truth:
        properties = reading.read_properties(results / name / "properties.csv")
    plausibility = {
        experiment["experiment"]: shown_plausibility(
            f"{key}-shares{at}",
            experiment,
            numbers[experiment["experiment"]],
            plausible,
            doubted if has_truth else None,
        )
        for at, experiment in enumerate(first)
    }
    return {
        "name": name,
        "key": key,
        "reader": KINDS[where["spec"]["kind"]].title,
        "classes": read.classes,
        "images": [
            (said, int((read.index["split"] == split).sum())) for split, said in SPLITS.items()
        ],
        "has_truth": has_truth,
        "warnings": warned,
        "has_contours": bool((metrics["metric"] == "contour_f").any()),
        "has_regions": bool((metrics["metric"] == "dr_recall").any()),
        "best": best_chain(outline, usual),
        "charts": [
            *cost_chart(key, group, board, numbers),
            *(
                sweep_charts(key, swept, numbers, report["sweep_figures"])
                if swept is not None
                else ()
            ),
            *against,
            *difference_charts(key, pairs, usual, read.classes, numbers, properties),
            *charts(key, artifacts, usual, asked),
        ],
        "experiments": [
            {
                "name": experiment["experiment"],
                "chain": chain_of(experiment),
                "number": numbers[experiment["experiment"]],
                "bars": bars(
                    f"{key}-bars{at}",
                    usual_split(of[experiment["experiment"]]),
                    read.classes,
                    numbers[experiment["experiment"]],
                ),
                "plausibility": plausibility[experiment["experiment"]],
                "classes": tables.class_figures(of[experiment["experiment"]], read.classes),
                "means": tables.mean_figures(of[experiment["experiment"]]),
                "gallery": (
                    examples.gallery(experiment, read, results, count)
                    if {"maps", "instances", "masks"} & set(experiment["artifacts"])
                    or experiment["objects"]
                    else None
                ),
            }
            for at, experiment in enumerate(first)
        ],
        "instances": instance_table(
            metrics[metrics["experiment"].isin([experiment["experiment"] for experiment in first])]
        ),
        "doubts": grouped_doubts(
            {chain_of(e): shown for e in first if (shown := plausibility[e["experiment"]])}
        ),
        "sheets": [
            (path, numbers[experiment["experiment"]], label_of(experiment, "masks"))
            for path, experiment in sheets_of(outline).items()
        ],
        "properties": [] if properties is None else tables.class_properties(properties),
        "correlations": tables.correlation_rows(related) if has_truth else [],
        "groups": None if groups is None else group_table(groups),
        "on_val": prediction_rows(
            artifacts_of("predictions", on_val, numbers, results),
            {artifact for experiment in on_val for artifact in experiment["instances"]},
            read,
            2 * count,
        ),
        "side_by_side": side_by_side(
            artifacts_of("maps", first, numbers, results),
            read,
            report["side_by_side"].get(name),
        ),
        "untagged": untagged_maps(artifacts["maps"], read, asked),
        "ood": ood_rows(artifacts["classifier"], read, asked),
        "pictures": list(analysis_pictures(key, artifacts["maps"], read, asked)),
        "prototypes": [shown_prototypes(artifact, read) for artifact in artifacts["prototypes"]],
        "artifacts": [
            artifact_details(artifact) for stage in STAGES for artifact in artifacts[stage]
        ],
    }


def best_chain(outline: list[dict], metrics: pd.DataFrame) -> dict | None:
    """The chain that is best at the last measured stage, with the mean IoU of its stages.

    For several seeds the mean counts. References, trained on the true masks, do not take part.
    """
    weak = [experiment["experiment"] for experiment in outline if not experiment["full"]]
    rows = last_of_stages(metrics)
    rows = rows[
        (rows["metric"] == "iou")
        & (rows["class"] == "mean")
        & ~rows["tuned_on_masks"]
        & rows["experiment"].isin(weak)
    ]
    paths = {experiment["experiment"]: path_of(experiment) for experiment in outline}
    means = (
        rows.assign(path=rows["experiment"].map(paths)).groupby(["stage", "path"])["value"].mean()
    )
    for last in reversed(tables.STAGE_NAMES):
        if last in means:
            path = means[last].idxmax()
            stages = [
                (said, tables.percent(means[stage, path]))
                for stage, said in tables.STAGE_NAMES.items()
                if (stage, path) in means
            ]
            return {"name": path, "stages": stages, "of": len({paths[name] for name in weak})}
    return None


def _stages(datasets: list[dict], outline: list[dict]) -> list[dict]:
    """For each stage, what its artifacts learned from and how many there are."""
    artifacts = [artifact for dataset in datasets for artifact in dataset["artifacts"]]
    rows = [
        {
            "title": stage.title,
            "supervision": list(dict.fromkeys(" + ".join(a["learns_from"]) or OWN for a in mine)),
            "count": len(mine),
        }
        for name, stage in STAGES.items()
        if (mine := [artifact for artifact in artifacts if artifact["stage"] == name])
    ]
    with_truth = any(experiment["has_truth"] for experiment in outline)
    quality = "pixel masks, evaluation only" if with_truth else "no pixel masks: not measured"
    return [*rows, {"title": "Quality figures", "supervision": [quality], "count": None}]
