"""The chart of how much the pixels of maps grow over steps, as quantiles by region."""

from collections.abc import Iterator, Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tags2masks.data.tables import read_table
from tags2masks.metrics.amplification import COLUMNS, REGIONS, quantile
from tags2masks.report import plots, reading
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.svg import INK, STYLE, WIDTH, colour, svg

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
BANDS = ((0.1, 0.9, 0.15), (0.25, 0.75, 0.3))  # from, to, opacity


def amplification_charts(key: str, artifacts: Sequence[ShownArtifact]) -> Iterator[dict]:
    """The chart of maps with steps, if there are any, from their amplification.csv.

    Each has a panel, all of one scale.

    key: prefix of the chart's id. A region's line is the median of its pixels; bands go from the
    10th and the 25th to the 75th and the 90th percentile.
    Raises UserError for a table that cannot be read.
    """
    if not artifacts:
        return
    key = f"{key}-amplification"
    quantiles = {artifact.name: _quantiles(artifact) for artifact in artifacts}
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure = Figure(figsize=(WIDTH, 0.6 + 1.4 * len(quantiles)), layout="constrained")
        grid = figure.subplots(len(quantiles), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, (name, regions) in zip(grid, quantiles.items(), strict=True):
            for number, of_region in enumerate(regions.values()):
                look = {"color": colour(number), "linewidth": 0}
                steps = of_region.index
                for low, high, alpha in BANDS:
                    axes.fill_between(steps, of_region[low], of_region[high], alpha=alpha, **look)
                axes.plot(steps, of_region[0.5], color=colour(number))
            axes.axhline(1, color=INK, linewidth=0.6, linestyle=(0, (1.5, 1.5)))
            axes.set_title(name)
            axes.grid(True)
        figure.supylabel("map / first map", fontsize=9)
        grid[-1].set_xlabel("step")
        grid[-1].set_ylim(bottom=0)
        grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        drawn = svg(figure, key)
    yield {
        "title": "Amplification of pixels over steps: median, and 50 and 80 % of the pixels",
        "svg": drawn,
        "legend": [plots.Series(name, at, pd.DataFrame()) for at, name in enumerate(REGIONS)],
        "alt": "; ".join(_text(name, regions) for name, regions in quantiles.items()),
        "marks": False,
        "source": "maps/…/amplification.csv",
    }


def _quantiles(artifact: ShownArtifact) -> dict[str, pd.DataFrame]:
    """By region the SHARES (columns) after each step (index)."""
    table = read_table(artifact.folder / "amplification.csv", COLUMNS, reading.MEND)
    table = table.astype(
        {"step": int, "at_least": float, "below": float, "pixels": int}
    ).sort_values(["step", "at_least"])
    found = {}
    for region in REGIONS:
        of_steps = table[table["region"] == region].groupby("step")
        rows = {step: [quantile(bins, share) for share in SHARES] for step, bins in of_steps}
        found[region] = pd.DataFrame.from_dict(rows, orient="index", columns=list(SHARES))
    return found


def _text(name: str, regions: dict[str, pd.DataFrame]) -> str:
    """The quantiles after the last step, in words."""
    parts = [
        f"{region} {last[0.5]:.2f} ({last[0.1]:.2f} to {last[0.9]:.2f})"
        for region, quantiles in regions.items()
        if len(quantiles)
        for last in [quantiles.iloc[-1]]
    ]
    said = ", ".join(parts) or "no pixel"
    return f"{name}, median and 80 % of the pixels after the last step: {said}"
