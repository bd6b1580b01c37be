"""The report as one HTML page that needs nothing but itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from tags2masks.errors import UserError
from tags2masks.report import gallery as examples
from tags2masks.report import plots, tables
from tags2masks.report.examples import BADLY, EVENLY, WELL
from tags2masks.report.pictures import BACKGROUND, HATCH

# What a stage is made from, where its spec.json does not say.
SUPERVISION = {
    "maps": "image tags",
    "masks": "no pixel masks: maps and images",
    "predictions": "no pixel masks: the segmenter and the images",
}
STEPS = {
    "classifier": "Classifier",
    "maps": "Maps (seed)",
    "masks": "Masks",
    "segmenter": "Segmenter",
    "predictions": "Predictions",
}
STAGES = tuple(STEPS)
GROUPS = {
    WELL: ("Well done", "masks spread over the best fifth by IoU"),
    BADLY: ("Badly done", "masks spread over the worst fifth by IoU"),
    EVENLY: ("Spread evenly", "over the training images: there is no IoU to choose by"),
}
SPLITS = {"train": "training", "val": "validation", "ood": "out of domain"}
READERS = {"digits": "embedded digits", "folder": "folder of images", "voc": "PASCAL VOC"}


class Made(NamedTuple):
    """An artifact of a data set.

    name: the names of the config's entries that lead to it; number: of the first experiment that
    uses it, which gives its colour; users: those experiments.
    """

    stage: str
    id: str
    name: str
    number: int
    users: list[str]
    folder: Path


def write_page(outline: list[dict], roots: dict[str, dict], results: Path, count: int) -> str:
    """The page of the experiments in `outline`, from the files under `results`.

    outline: per experiment its name, dataset, has_truth, evaluate_on and artifact ids by stage.
    roots: per data set root (of images), truth_root (of masks) and spec (its config block).
    count: example images per group. Equal files give equal text.
    Raises UserError naming a file that is absent or does not fit.
    """
    metrics = tables.read_metrics(results / "metrics.csv")
    board = tables.read_leaderboard(results / "leaderboard.csv")
    numbers = chain_numbers(outline)
    names = list(dict.fromkeys(one["dataset"] for one in outline))
    datasets = [
        _dataset(
            [one for one in outline if one["dataset"] == name],
            place,
            roots[name],
            results,
            metrics[metrics["dataset"] == name],
            numbers,
            count,
        )
        for place, name in enumerate(names)
    ]
    environment = Environment(
        loader=PackageLoader("tags2masks.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment.get_template("page.html.jinja").render(
        datasets=datasets,
        experiments=len(outline),
        columns=tables.COLUMNS,
        rows=tables.leaderboard_cells(board),
        numbers={one["experiment"]: numbers[one["experiment"]] for one in outline},
        steps=_steps(datasets, outline),
        headings=GROUPS,
        shades=plots.SHADES,
        series=plots.SERIES,
        background="#{:02x}{:02x}{:02x}".format(*BACKGROUND),
        hatch=["#{:02x}{:02x}{:02x}".format(*grey) for grey in HATCH],
        seen=set(),
    )


def chain_numbers(outline: list[dict]) -> dict[str, int]:
    """A number per experiment, for its colour: the same chain has the same on every data set."""
    chains: dict[str, int] = {}
    for one in outline:
        chains.setdefault(_chain(one), len(chains))
    return {one["experiment"]: chains[_chain(one)] for one in outline}


def _chain(one: dict) -> str:
    return one["experiment"].partition("/")[2]


def made_of(stage: str, outline: list[dict], numbers: dict[str, int], results: Path) -> list[Made]:
    """The artifacts of a stage of one data set's experiments, each once, in their order."""
    found: dict[str, Made] = {}
    depth = {"classifier": 1, "maps": 2, "masks": 3, "segmenter": 4, "predictions": 4}[stage]
    for one in outline:
        artifact = one["artifacts"].get(stage)
        if artifact is None:
            continue
        name, number = one["experiment"], numbers[one["experiment"]]
        label = "/".join(name.split("/")[1 : depth + 1])
        folder = results / one["dataset"] / stage / artifact
        made = found.setdefault(artifact, Made(stage, artifact, label, number, [], folder))
        made.users.append(name)
    return list(found.values())


def _dataset(
    outline: list[dict],
    place: int,
    where: dict,
    results: Path,
    metrics: pd.DataFrame,
    numbers: dict[str, int],
    count: int,
) -> dict:
    """All that the page says of a data set."""
    name, has_truth = outline[0]["dataset"], outline[0]["has_truth"]
    read = examples.read_dataset(name, where, results, has_truth)
    key = f"d{place}"
    made = {stage: made_of(stage, outline, numbers, results) for stage in STAGES}
    of = {one["experiment"]: metrics[metrics["experiment"] == one["experiment"]] for one in outline}
    return {
        "name": name,
        "key": key,
        "reader": READERS.get(where["spec"]["kind"], where["spec"]["kind"]),
        "classes": read.classes,
        "images": [
            (said, int((read.index["split"] == split).sum())) for split, said in SPLITS.items()
        ],
        "has_truth": has_truth,
        "best": _best(outline, metrics),
        "charts": list(_charts(key, made, metrics)),
        "experiments": [
            {
                "name": one["experiment"],
                "chain": _chain(one),
                "number": numbers[one["experiment"]],
                "bars": _bars(key, at, of[one["experiment"]], read.classes, numbers, one),
                "classes": tables.class_figures(of[one["experiment"]], read.classes),
                "means": tables.mean_figures(of[one["experiment"]]),
                "gallery": examples.gallery(one, read, results, count),
            }
            for at, one in enumerate(outline)
        ],
        "artifacts": [_artifact(one, outline) for stage in STAGES for one in made[stage]],
    }


def _best(outline: list[dict], metrics: pd.DataFrame) -> dict | None:
    """The experiment whose last measured step is the best, with the mean IoU of its steps."""
    rows = metrics[
        (metrics["metric"] == "iou") & (metrics["class"] == "mean") & ~metrics["tuned_on_masks"]
    ]
    for last in reversed(tables.STAGE_NAMES):
        there = rows[rows["stage"] == last]
        if len(there):
            name = there.loc[there["value"].idxmax(), "experiment"]
            values = rows[rows["experiment"] == name].set_index("stage")["value"]
            steps = [
                (said, tables.percent(values[stage]))
                for stage, said in tables.STAGE_NAMES.items()
                if stage in values
            ]
            return {"name": name, "steps": steps, "of": len(outline)}
    return None


def _charts(key: str, made: dict[str, list[Made]], metrics: pd.DataFrame) -> Iterator[dict]:
    """The data set's charts, with what the page says around them."""
    measured = metrics[metrics["stage"] == "maps"]
    maps = [one for one in made["maps"] if (measured["artifact"] == one.id).any()]
    if maps:
        lines = [_series(one, _mean_curve(one)) for one in maps]
        marks = {one.name: _marks(measured[measured["artifact"] == one.id]) for one in maps}
        yield {
            "title": "Seed IoU against the background score",
            "svg": plots.curves(f"{key}-curves", lines, marks),
            "legend": lines,
            "alt": "; ".join(_told(name, points) for name, points in marks.items()),
            "marks": True,
            "source": "maps/…/curve.csv",
        }
    for stage, measure, title, heading in (
        ("classifier", "val_map", "validation mAP", "Training of the classifiers"),
        ("segmenter", "pixel_agreement", "agreement with the masks", "Training of the segmenters"),
    ):
        if made[stage]:
            lines = [_series(one, _table(one.folder / "training.csv")) for one in made[stage]]
            yield {
                "title": heading,
                "svg": plots.training(f"{key}-{stage}", lines, measure, title),
                "legend": lines,
                "alt": "; ".join(_ended(line, measure, title) for line in lines),
                "marks": False,
                "source": f"{stage}/…/training.csv",
            }


def _series(one: Made, values: pd.DataFrame) -> plots.Series:
    return plots.Series(one.name, one.number, values)


def _mean_curve(one: Made) -> pd.DataFrame:
    curve = _table(one.folder / "curve.csv", {"class": str})
    return curve[curve["class"] == "mean"]


def _marks(rows: pd.DataFrame) -> list[plots.Mark]:
    """The fixed and the tuned background score of a maps artifact, from its rows of the metrics."""
    means = rows[(rows["metric"] == "iou") & (rows["class"] == "mean")]
    means = means.drop_duplicates(["threshold", "tuned_on_masks"])
    return [
        plots.Mark(row["threshold"], row["value"], row["tuned_on_masks"])
        for row in means.to_dict("records")
    ]


def _told(name: str, marks: list[plots.Mark]) -> str:
    parts = [
        f"{tables.percent(mark.value)} % at the {'best' if mark.tuned else 'fixed'} score "
        f"{mark.threshold:.2f}"
        for mark in marks
    ]
    return f"{name}: {', '.join(parts)}"


def _ended(line: plots.Series, measure: str, title: str) -> str:
    last = line.values.iloc[-1]
    told = f"{line.name}: loss {last['loss']:.3f} after epoch {last['epoch']:.0f}"
    known = measure in last and pd.notna(last[measure])
    return f"{told}, {title} {tables.percent(last[measure])} %" if known else told


def _bars(key, at, metrics, classes, numbers, one) -> dict | None:
    """The per-class chart of an experiment; None where nothing was measured."""
    stages, values = tables.class_values(metrics, classes)
    if not stages:
        return None
    number = numbers[one["experiment"]]
    means = zip(stages, values[0][1], strict=True)
    return {
        "svg": plots.class_bars(f"{key}-bars{at}", stages, values, number),
        "stages": stages,
        "alt": "Mean IoU: "
        + ", ".join(f"{stage} {tables.percent(value)} %" for stage, value in means),
    }


def _artifact(one: Made, outline: list[dict]) -> dict:
    """An artifact with what it was made of: from its spec.json, or as the outline has it."""
    spec = one.folder / "spec.json"
    known = json.loads(_read(spec)) if one.stage in ("classifier", "segmenter") else {}
    recipes = (entry.get("recipes", {}) for entry in outline if entry["experiment"] == one.users[0])
    recipe = known.get("recipe") or next(recipes).get(one.stage)
    return {
        "stage": one.stage,
        "step": STEPS[one.stage],
        "id": one.id,
        "users": one.users,
        "supervision": known.get("supervision") or SUPERVISION[one.stage],
        "recipe": json.dumps(recipe, indent=2, ensure_ascii=False) if recipe else None,
    }


def _steps(datasets: list[dict], outline: list[dict]) -> list[dict]:
    """Per stage: from what its artifacts were made, and how many there are."""
    made = [artifact for dataset in datasets for artifact in dataset["artifacts"]]
    rows = [
        {
            "step": said,
            "supervision": list(dict.fromkeys(a["supervision"] for a in mine)),
            "count": len(mine),
        }
        for stage, said in STEPS.items()
        if (mine := [artifact for artifact in made if artifact["stage"] == stage])
    ]
    with_truth = any(one["has_truth"] for one in outline)
    told = "pixel masks, evaluation only" if with_truth else "no pixel masks: not measured"
    return [*rows, {"step": "Quality figures", "supervision": [told], "count": None}]


def _table(path: Path, dtype: dict | None = None) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=dtype, keep_default_na=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no readable table ({error}); run the workflow again") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable ({error}); run the workflow again") from None
