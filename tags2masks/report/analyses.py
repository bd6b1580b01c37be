"""Charts of analyses of trained networks: gradients, loss landscapes, features along climbs."""

from collections.abc import Callable, Iterator

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tags2masks.data.tables import read_table
from tags2masks.report import plots, reading, tables
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.svg import INK, STYLE, WIDTH, colour, svg

RATIOS = {
    "layer": ("High gradients by layer", "the last is the class's logit"),
    "step": ("High gradients of the logit over RIB's steps", "0 is the trained network"),
}


def gradient_charts(key: str, artifact: ShownArtifact) -> Iterator[dict]:
    """The charts of maps of RIB from their gradients.csv: over layers, and over steps.

    key: prefix of the charts' ids. Raises UserError for a table that cannot be read.
    """
    columns = ("over", "number", "region", "ratio")
    table = read_table(artifact.folder / "gradients.csv", columns, reading.MEND)
    table = table.assign(ratio=pd.to_numeric(table["ratio"]), number=table["number"].astype(int))
    for over, (title, about) in RATIOS.items():
        rows = table[table["over"] == over]
        lines = [
            plots.Series(str(region), number, of_region.rename(columns={"number": over}))
            for number, (region, of_region) in enumerate(rows.groupby("region", sort=False))
        ]
        panel = plots.Panel("ratio", f"% of a region's pixels; {about}", lines, 100)
        yield {
            "title": f"{title}: {artifact.name}",
            "svg": plots.over_epochs(f"{key}-{over}", [panel], over=over),
            "legend": lines,
            "alt": "; ".join(
                f"{line.name}: {', '.join(map(tables.percent, line.values['ratio']))}"
                for line in lines
            ),
            "marks": False,
            "source": f"maps/{artifact.id}/gradients.csv",
        }


def landscape_charts(key: str, artifact: ShownArtifact) -> Iterator[dict]:
    """The surfaces of a classifier's loss, from its landscape.csv, with panels of one scale.

    Around images the half along the gradient, an attack, beside the half against it, a climb. key,
    errors: as for `gradient_charts`.
    """
    columns = ("around", "first", "second", "loss")
    table = read_table(artifact.folder / "landscape.csv", columns, reading.MEND)
    table = table.astype({"first": float, "second": float, "loss": float})
    for around, rows in table.groupby("around", sort=False):
        surface = rows.pivot(index="first", columns="second", values="loss")
        if around == "images":
            title = f"Loss around images: {artifact.name}"
            climb = surface[surface.index <= 0]
            panels = {
                "adversarial climbing": climb.set_axis(-climb.index).sort_index(),
                "adversarial attack": surface[surface.index >= 0],
            }
            names = ("normal vector", "random vector")
        else:
            title = f"Loss around the weights: {artifact.name}"
            panels, names = {"weights": surface}, ("random direction", "another")
        texts = [
            f"{name}: {shown.to_numpy()[0, shown.shape[1] // 2]:.3g} to "
            f"{shown.to_numpy()[-1, shown.shape[1] // 2]:.3g}"
            for name, shown in panels.items()
        ]
        yield {
            "title": title,
            "svg": _surfaces(f"{key}-{around}", panels, names),
            "legend": [],
            "alt": f"mean loss along the first direction; {'; '.join(texts)}",
            "marks": False,
            "source": f"classifier/{artifact.id}/landscape.csv",
        }


def _surfaces(key: str, panels: dict[str, pd.DataFrame], names: tuple[str, str]) -> str:
    """Filled contours; of each panel the first direction to the right, the second upwards."""
    values = np.concatenate([panel.to_numpy().ravel() for panel in panels.values()])
    levels = np.linspace(values.min(), values.max() + 1e-9, 13)

    def draw(axes: Axes, panel: pd.DataFrame) -> object:
        filled = axes.contourf(panel.index, panel.columns, panel.to_numpy().T, levels)
        axes.plot(
            0, 0, marker="*", markersize=9, color="#ffd400", markeredgecolor=INK, clip_on=False
        )
        axes.set_xlabel(names[0])
        return filled

    return _panels(key, panels, draw, names[1], bar=True)


def climbs_chart(key: str, artifact: ShownArtifact) -> dict:
    """The chart of features along climbs, from a climbs.csv; key, errors: as for the others."""
    columns = ("kind", "image", "class", "step", "x", "y")
    table = read_table(artifact.folder / "climbs.csv", columns, reading.MEND)
    table = table.astype({"step": int, "x": float, "y": float})
    names = list(dict.fromkeys(table["class"]))

    def draw(axes: Axes, points: pd.DataFrame) -> None:
        for number, name in enumerate(names):
            mine = points[points["class"] == name]
            plain = mine[mine["kind"] == "image"]
            axes.plot(plain["x"], plain["y"], "o", markersize=3, color=colour(number), alpha=0.5)
            climb = mine[mine["kind"] == "climb"].sort_values("step")
            look = {"color": INK, "linewidth": 0.8, "markersize": 5}
            axes.plot(climb["x"], climb["y"], "-", **look, zorder=3)
            face = {"markerfacecolor": colour(number), "markeredgecolor": INK}
            axes.plot(climb["x"].iloc[1:], climb["y"].iloc[1:], "^", **look, **face, zorder=4)
            axes.plot(
                climb["x"].iloc[0], climb["y"].iloc[0], "*", **look | {"markersize": 10}, **face
            )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)

    counts = table[table["kind"] == "image"]["class"].value_counts(sort=False)
    last = int(table["step"].max())
    return {
        "title": f"Features along climbs, by t-SNE: {artifact.name}",
        "svg": _panels(key, {"": table}, draw),
        "legend": [plots.Series(name, number, table) for number, name in enumerate(names)],
        "alt": f"{', '.join(f'{counts[name]} images of {name}' for name in names)}; stars are the "
        f"images that climb, triangles their {last} steps",
        "marks": False,
        "source": f"maps/{artifact.id}/climbs.csv",
    }


def _panels(
    key: str,
    panels: dict[str, pd.DataFrame],
    draw: Callable[[Axes, pd.DataFrame], object],
    label: str = "",
    bar: bool = False,
) -> str:
    """Panels beside each other, with a colour bar if `bar`; label: of the first vertical axis."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure = Figure(figsize=(WIDTH, 2.4 if len(panels) > 1 else 3.2), layout="constrained")
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, panel) in zip(grid, panels.items(), strict=True):
            drawn = draw(axes, panel)
            axes.set_title(title)
        grid[0].set_ylabel(label)
        if bar:
            figure.colorbar(drawn, ax=list(grid), label="loss", format="%.3g")
        return svg(figure, key)
