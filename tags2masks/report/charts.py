"""A data set's charts, with titles, legends and texts for the page."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from tags2masks.errors import UserError
from tags2masks.provenance import read_provenance
from tags2masks.report import plots, tables
from tags2masks.report.amplification import amplification_charts
from tags2masks.report.analyses import climbs_chart, gradient_charts, landscape_charts
from tags2masks.report.embedding import embedding_chart
from tags2masks.report.head_charts import head_charts
from tags2masks.report.lineage import ShownArtifact
from tags2masks.score_file import read_score
from tags2masks.stages import STAGES, giving

# Columns of training.csv with schedules, not results, and their titles.
SCHEDULES = {
    "lambda_re": "lambda_re",
    "lambda_cse": "lambda_cse",
    "lambda_noc": "lambda_noc",
    "lr_noc": "lr_noc: learning rate × lambda_noc",
    "delta_noc": "delta_noc",
    "k_noc": "k_noc",
    "consistency_weight": "consistency_weight",
}


def charts(
    key: str,
    artifacts: dict[str, list[ShownArtifact]],
    metrics: pd.DataFrame,
    asked: Sequence[Path] = (),
) -> Iterator[dict]:
    """Yield the data set's charts, with titles, legends and texts.

    asked: the optional tables that the config asks for: of maps after each epoch, or of each step,
    of features after each epoch, and of analyses.
    """
    for stage in (name for name, stage in STAGES.items() if stage.curves):
        title = f"{STAGES[stage].figure.capitalize()} IoU against the background score"
        measured = metrics[(metrics["stage"] == stage) & metrics["threshold"].notna()]
        with_curve = [
            artifact for artifact in artifacts[stage] if (measured["artifact"] == artifact.id).any()
        ]
        if with_curve:
            lines = _apart([_series(artifact, _mean_curve(artifact)) for artifact in with_curve])
            marks = {
                artifact.name: _marks(measured[measured["artifact"] == artifact.id])
                for artifact in with_curve
            }
            chosen = _separations(with_curve, artifacts["score"])
            texts = [_points_text(name, points) for name, points in marks.items()]
            texts += [f"{name}: {one.chosen:.2f} chosen" for name, one in chosen.items()]
            yield {
                "title": title,
                "svg": plots.curves(f"{key}-{stage}", lines, marks, list(chosen.values())),
                "legend": lines,
                "alt": "; ".join(texts),
                "marks": True,
                "separations": bool(chosen),
                "source": f"{stage}/…/curve.csv",
            }
    for stage in giving("network"):
        course = STAGES[stage].course
        found = [(made, _table(made.folder / "training.csv")) for made in artifacts[stage]]
        trained = [_series(made, table) for made, table in found if "loss" in table]
        if trained:
            lines = _apart(trained)
            yield {
                "title": f"Training of the {STAGES[stage].plural}",
                "svg": plots.training(f"{key}-{stage}", lines, course.column, course.title),
                "legend": lines,
                "alt": "; ".join(_ended(line, course.column, course.title) for line in lines),
                "marks": False,
                "source": f"{stage}/…/training.csv",
            }
            yield from _schedule_charts(f"{key}-{stage}", lines, f"{stage}/…/training.csv")
        if stage == "classifier":
            for name, draw in (
                ("epochs.csv", _epoch_charts),
                ("steps.csv", _step_charts),
                ("amplification.csv", amplification_charts),
            ):
                yield from draw(
                    key,
                    [artifact for artifact in artifacts["maps"] if artifact.folder / name in asked],
                )
            for place, artifact in enumerate(artifacts[stage]):
                if artifact.folder / "embedding.csv" in asked:
                    yield embedding_chart(f"{key}-embedding{place}", artifact)
                if artifact.folder / "landscape.csv" in asked:
                    yield from landscape_charts(f"{key}-landscape{place}", artifact)
            for place, artifact in enumerate(artifacts["maps"]):
                if artifact.folder / "gradients.csv" in asked:
                    yield from gradient_charts(f"{key}-gradients{place}", artifact)
                if artifact.folder / "climbs.csv" in asked:
                    yield climbs_chart(f"{key}-climbs{place}", artifact)
    for place, artifact in enumerate(artifacts["maps"]):
        if artifact.folder / "head_losses.csv" in asked:
            yield from head_charts(f"{key}-heads{place}", artifact)


def _epoch_charts(key: str, measured: list[ShownArtifact]) -> Iterator[dict]:
    """A chart of the mean IoU of maps after each epoch of their classifiers, if there are any."""
    lines: dict[bool, list[plots.Series]] = {False: [], True: []}
    for artifact in measured:
        table = _table(artifact.folder / "epochs.csv", {"class": str})
        means = table[(table["metric"] == "iou") & (table["class"] == "mean")]
        for tuned in lines:
            lines[tuned].append(_series(artifact, means[means["tuned_on_masks"] == tuned]))
    if measured:
        yield {
            "title": "Seed IoU after each epoch, measured with masks",
            "svg": plots.over_epochs(
                f"{key}-epochs",
                [
                    plots.Panel("value", "at the reported score, %", lines[False], 100),
                    plots.Panel("value", "at the best score (tuned on masks), %", lines[True], 100),
                ],
            ),
            "legend": lines[False],
            "alt": "; ".join(
                f"{line.name}, at the reported score: "
                + ", ".join(tables.percent(value) for value in line.values["value"])
                for line in lines[False]
            ),
            "marks": False,
            "source": "maps/…/epochs.csv",
        }


def _step_charts(key: str, measured: list[ShownArtifact]) -> Iterator[dict]:
    """A chart of the quality of maps of each step, if there are any."""
    lines = [_series(artifact, _table(artifact.folder / "steps.csv")) for artifact in measured]
    if lines:
        yield {
            "title": "Maps of each step, measured with masks",
            "svg": plots.over_epochs(
                f"{key}-steps",
                [
                    plots.Panel("iou", "mean IoU of the step's maps, %", lines, 100),
                    plots.Panel("iou_so_far", "of all steps so far, %", lines, 100),
                    plots.Panel("noise", "share of what is found that is wrong, %", lines, 100),
                ],
                over="step",
            ),
            "legend": lines,
            "alt": "; ".join(
                f"{line.name}, of all steps so far: "
                + ", ".join(tables.percent(value) for value in line.values["iou_so_far"])
                for line in lines
            ),
            "marks": False,
            "source": "maps/…/steps.csv",
        }


def _schedule_charts(key: str, lines: list[plots.Series], source: str) -> Iterator[dict]:
    """A chart of the weights and thresholds that change during training, if there are any."""
    panels = [
        plots.Panel(name, title, [line for line in lines if name in line.values])
        for name, title in SCHEDULES.items()
        if any(name in line.values for line in lines)
    ]
    if panels:
        yield {
            "title": "Schedules of the losses, mean over an epoch's steps",
            "svg": plots.over_epochs(f"{key}-schedules", panels),
            "legend": list({line.name: line for panel in panels for line in panel.series}.values()),
            "alt": "; ".join(
                f"{line.name}: {panel.column} {line.values[panel.column].iloc[0]:.3g} in the first "
                f"epoch, {line.values[panel.column].iloc[-1]:.3g} in the last"
                for panel in panels
                for line in panel.series
            ),
            "marks": False,
            "source": source,
        }


def _series(artifact: ShownArtifact, values: pd.DataFrame) -> plots.Series:
    return plots.Series(artifact.name, artifact.number, values)


def _apart(lines: list[plots.Series]) -> list[plots.Series]:
    """Lines of one experiment, which have its colour, in different dashes."""
    seen: dict[int, int] = {}
    apart = []
    for line in lines:
        times = seen[line.number] = seen.get(line.number, -1) + 1
        apart.append(line._replace(number=line.number + plots.SERIES * times))
    return apart


def _mean_curve(artifact: ShownArtifact) -> pd.DataFrame:
    curve = _table(artifact.folder / "curve.csv", {"class": str})
    return curve[curve["class"] == "mean"]


def _separations(
    artifacts: list[ShownArtifact], scores: list[ShownArtifact]
) -> dict[str, plots.Separation]:
    """How the background scores were chosen: of maps for themselves, of masks for theirs."""
    records = [read_score(score.folder / STAGES["score"].file) for score in scores]
    chosen = {}
    for artifact in artifacts:
        upstream = read_provenance(artifact.folder)["recipe"]["upstream"]
        for record in records:
            of_maps = record["recipe"]["upstream"]["maps"] == artifact.id
            if "curves" in record and (of_maps or record["id"] == upstream.get("score")):
                chosen[artifact.name] = plots.Separation(
                    artifact.number, pd.DataFrame(record["curves"]), record["background_score"]
                )
    return chosen


def _marks(rows: pd.DataFrame) -> list[plots.Mark]:
    """The marks at the reported and the tuned score, from an artifact's rows of metrics."""
    means = rows[(rows["metric"] == "iou") & (rows["class"] == "mean")]
    means = means.drop_duplicates(["threshold", "tuned_on_masks"])
    return [
        plots.Mark(row["threshold"], row["value"], row["tuned_on_masks"])
        for row in means.to_dict("records")
    ]


def _points_text(name: str, marks: list[plots.Mark]) -> str:
    parts = [
        f"{tables.percent(mark.value)} % at the {'best' if mark.tuned else 'reported'} score "
        f"{mark.threshold:.2f}"
        for mark in marks
    ]
    return f"{name}: {', '.join(parts)}"


def _ended(line: plots.Series, measure: str, title: str) -> str:
    last = line.values.iloc[-1]
    text = f"{line.name}: loss {last['loss']:.3f} after epoch {last['epoch']:.0f}"
    known = measure in last and pd.notna(last[measure])
    return f"{text}, {title} {tables.percent(last[measure])} %" if known else text


def bars(key: str, metrics: pd.DataFrame, classes: Sequence[str], number: int) -> dict | None:
    """The per-class chart of an experiment; None if nothing was measured.

    metrics: the experiment's rows; number: the colour's.
    """
    stages, values = tables.class_values(metrics, classes)
    if not stages:
        return None
    means = zip(stages, values[0][1], strict=True)
    return {
        "svg": plots.class_bars(key, stages, values, number),
        "stages": stages,
        "alt": "Mean IoU: "
        + ", ".join(f"{stage} {tables.percent(value)} %" for stage, value in means),
    }


def _table(path: Path, dtype: dict | None = None) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=dtype, keep_default_na=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no readable table ({error}); run the workflow again") from None
