"""Charts of what each head of a detector looks at, and of both heads' losses while one is kept."""

from collections.abc import Iterator

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tags2masks.data.tables import read_table
from tags2masks.metrics.head_places import BINS, COLUMNS, HEADS
from tags2masks.report import plots, reading, tables
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.svg import STYLE, WIDTH, svg

LOSSES = ("kept", "step", "box_loss", "class_loss")
NEAR = 0.8  # R of this length or more is called near the contour


def head_charts(key: str, artifact: ShownArtifact) -> Iterator[dict]:
    """The charts of maps of BBAM from their head_places.csv and head_losses.csv.

    key: prefix of the charts' ids. Raises UserError for a table that cannot be read.
    """
    places = read_table(artifact.folder / "head_places.csv", COLUMNS, reading.MEND)
    places = places.astype({"x": float, "y": float, "pixels": int})
    counts = {head: _grid(places[places["kept"] == head]) for head in HEADS}
    yield {
        "title": f"Where in the objects each head looks: {artifact.name}",
        "svg": _places(f"{key}-places", counts),
        "legend": [],
        "alt": f"share of the high values of which R is {NEAR} or longer, near the contour; "
        + "; ".join(_near(head, places[places["kept"] == head]) for head in HEADS),
        "marks": False,
        "source": f"maps/{artifact.id}/head_places.csv",
    }
    losses = read_table(artifact.folder / "head_losses.csv", LOSSES, reading.MEND)
    losses = losses.astype({"step": int, "box_loss": float, "class_loss": float})
    panels = [
        plots.Panel(
            "loss",
            f"with the {head} head kept: loss of both",
            _lines(losses[losses["kept"] == head]),
        )
        for head in HEADS
    ]
    yield {
        "title": f"Losses of both heads while one is kept: {artifact.name}",
        "svg": plots.over_epochs(f"{key}-losses", panels, over="step"),
        "legend": panels[0].series,
        "alt": "; ".join(_ended(panel) for panel in panels),
        "marks": False,
        "source": f"maps/{artifact.id}/head_losses.csv",
    }


def _grid(places: pd.DataFrame) -> np.ndarray:
    """The pixels by bin, [BINS, BINS], rows by y."""
    row, column = (
        np.floor((places[axis].to_numpy() + 1) / 2 * BINS).astype(int) for axis in ("y", "x")
    )
    counts = np.zeros((BINS, BINS))
    counts[row, column] = places["pixels"]
    return counts


def _places(key: str, counts: dict[str, np.ndarray]) -> str:
    """The shares of a head's pixels by R, beside each other, of one scale each."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
        for axes, (head, grid) in zip(figure.subplots(1, 2), counts.items(), strict=True):
            shares = grid / max(grid.max(), 1)
            axes.imshow(shares, cmap="inferno", extent=(-1, 1, 1, -1), interpolation="nearest")
            around = np.linspace(0, 2 * np.pi, 100)
            axes.plot(np.cos(around), np.sin(around), color="#bbbbbb", linewidth=0.8)
            axes.set_title(f"{head} head")
            axes.set_xticks([-1, 0, 1])
            axes.set_yticks([-1, 0, 1])
        return svg(figure, key)


def _near(head: str, places: pd.DataFrame) -> str:
    total = places["pixels"].sum()
    if not total:
        return f"{head} head: no high value"
    near = places.loc[np.hypot(places["x"], places["y"]) >= NEAR, "pixels"].sum()
    return f"{head} head: {tables.percent(near / total)} % of {total} pixels"


def _lines(losses: pd.DataFrame) -> list[plots.Series]:
    return [
        plots.Series(f"{head} head", number, losses.rename(columns={f"{head}_loss": "loss"}))
        for number, head in enumerate(HEADS)
    ]


def _ended(panel: plots.Panel) -> str:
    ends = [
        f"{line.name} {line.values['loss'].iloc[0]:.3g} to {line.values['loss'].iloc[-1]:.3g}"
        for line in panel.series
        if len(line.values)
    ]
    return f"{panel.title}: {', '.join(ends) or 'no object'}"
