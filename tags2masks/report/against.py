"""Charts of chosen experiments against a number or a word, of one data set or of several."""

from collections.abc import Iterator, Sequence

import pandas as pd

from tags2masks.report.sweeps import charts_of


def against_charts(
    key: str, wanted: dict, metrics: pd.DataFrame, figures: Sequence[str]
) -> Iterator[dict]:
    """The charts, drawn as those of a sweep (`sweep_charts`); none without figures.

    key: unique in the page; wanted: of `lines_against`; metrics: metrics.csv, of all data sets;
    figures: those to draw.
    """
    means = metrics[(metrics["class"] == "mean") & metrics["stage"].isin(wanted["stages"])]
    paths = means["experiment"].str.split("@").str[0]
    about = {"parameter": wanted["axis"], "by": "", "by_setting": ""}
    parts = [
        means[paths == path].assign(setting=setting, chain=f"/{name}", number=number, **about)
        for number, (name, points) in enumerate(wanted["lines"])
        for setting, path in points
    ]
    yield from charts_of(key, pd.concat(parts), figures, "results/metrics.csv")


def dataset_of(wanted: dict) -> str:
    """The data set of the first point, whose part of the page has the chart."""
    _, [[_, path], *_] = wanted["lines"][0]
    return path.partition("/")[0]
