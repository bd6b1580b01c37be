"""A chart of features of tagged and out-of-distribution images after each epoch of a training."""

from typing import NamedTuple

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tags2masks.data.tables import read_table
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.reading import MEND
from tags2masks.report.svg import INK, STYLE, WIDTH, colour, svg

# Marker, its size and the width of its lines, by the kinds of `embedding.csv`.
MARKERS = {"tagged": ("o", 2.4, 0), "ood": ("x", 2.8, 0.7)}
FEW = 6  # panels that stand two beside each other; more: three
MOST = 6  # classes with a colour of their own, of the 8 of `svg.SERIES`; others are grey


class Coloured(NamedTuple):
    """An entry of the legend; number: of its colour."""

    name: str
    number: int


def embedding_chart(key: str, artifact: ShownArtifact) -> dict:
    """The chart of a classifier, from its embedding.csv, for the page.

    key: prefix of the chart's ids. Colours are of the classes that most out-of-distribution images
    are taken for. Raises UserError for a table that cannot be read.
    """
    columns = ("epoch", "kind", "class", "x", "y")
    table = read_table(artifact.folder / "embedding.csv", columns, MEND)
    table = table.astype({"epoch": int, "x": float, "y": float})
    first = table[table["epoch"] == table["epoch"].min()]
    counts = first[first["kind"] == "ood"]["class"].value_counts(sort=False)
    names = counts.sort_values(ascending=False, kind="stable").index[:MOST]
    legend = [Coloured(name, number) for number, name in enumerate(names)]
    kinds = first["kind"].value_counts()
    epochs = sorted(set(table["epoch"]))
    others = bool((~first["class"].isin(names)).any())
    return {
        "title": f"Features of {artifact.name} after each epoch, by t-SNE",
        "svg": scatter(key, table, legend),
        "legend": legend,
        "alt": f"Panels of epochs {epochs[0]} to {epochs[-1]}; {kinds['tagged']} tagged and "
        f"{kinds['ood']} out-of-distribution images, coloured by class: {', '.join(names)}",
        "marks": False,
        "embedding": True,
        "others": others,
        "source": f"classifier/{artifact.id}/embedding.csv",
    }


def scatter(key: str, table: pd.DataFrame, legend: list[Coloured]) -> str:
    """A panel for each epoch, all with the same axes; table: with columns of `embedding.csv`.

    Classes that are not in the legend are drawn first, in grey.
    """
    epochs = sorted(set(table["epoch"]))
    across = 2 if len(epochs) <= FEW else 3
    down = -(-len(epochs) // across)
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key, "axes.spines.top": True}):
        figure = Figure(figsize=(WIDTH, WIDTH / across * down), layout="constrained")
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat
        for axes, epoch in zip(grid, epochs, strict=False):
            _panel(axes, table[table["epoch"] == epoch], legend)
            axes.set_title(f"epoch {epoch}")
        for axes in list(grid)[len(epochs) :]:
            axes.remove()
        return svg(figure, key)


def _panel(axes: Axes, points: pd.DataFrame, legend: list[Coloured]) -> None:
    axes.spines[:].set_visible(True)
    axes.spines[:].set_alpha(0.3)
    axes.set_xticks([])
    axes.set_yticks([])
    rest = points[~points["class"].isin([one.name for one in legend])]
    drawn = [(rest, INK, 0.3)]
    drawn += [(points[points["class"] == one.name], colour(one.number), 0.8) for one in legend]
    for kind, (marker, size, width) in MARKERS.items():
        for of_class, own, alpha in drawn:
            some = of_class[of_class["kind"] == kind]
            axes.plot(
                some["x"],
                some["y"],
                linestyle="none",
                marker=marker,
                markersize=size,
                markeredgewidth=width,
                color=own,
                alpha=alpha,
            )
