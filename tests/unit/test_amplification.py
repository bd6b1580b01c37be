"""The distribution of pixels' growth over steps: counts, quantiles and chart, by hand."""

import numpy as np
import pandas as pd
import pytest

from tags2masks.metrics.amplification import BINS, COLUMNS, counts, quantile, table
from tags2masks.report.amplification import amplification_charts
from tags2masks.report.lineage import ShownArtifact
from tests.unit.read_page import Page


def test_counts_by_hand():
    # Three pixels over three steps; the third step was not made for one of them.
    ratios = np.array([[1, 0.01, 12], [1, 0.02, 10], [1, 0.3, np.nan]])
    found = counts(ratios)
    assert found.shape == (3, BINS) and found.sum(1).tolist() == [3, 3, 2]
    assert found[0, 50] == 3  # 1 to 1.02
    assert found[1, [0, 1, 15]].tolist() == [1, 1, 1]  # 0.3 is 0.3 to 0.32
    assert found[2, -1] == 2  # 10 or more
    rows = table(np.stack([found, 0 * found]))
    assert tuple(rows.columns) == COLUMNS
    assert rows["region"].unique().tolist() == ["discriminative"]
    assert rows[rows["step"] == 1][["at_least", "below"]].to_numpy().tolist() == [
        [0, 0.02],
        [0.02, 0.04],
        [0.3, 0.32],
    ]
    assert rows.iloc[-1].tolist() == [2, "discriminative", 10, np.inf, 2]


def test_quantiles_are_within_their_bin():
    edges = {"at_least": [1, 2, 10], "below": [1.05, 2.05, np.inf]}
    bins = pd.DataFrame(edges | {"pixels": [4, 4, 2]})
    assert quantile(bins, 0.1) == pytest.approx(1.0125)  # the first of four pixels
    assert quantile(bins, 0.4) == pytest.approx(1.05)
    assert quantile(bins, 0.5) == pytest.approx(2.0125)
    assert quantile(bins, 0.9) == 10
    assert np.isnan(quantile(bins.iloc[:0], 0.5))


def test_quantiles_agree_with_those_of_the_pixels():
    ratios = np.random.default_rng(0).gamma(4, 0.5, (5000, 1))
    rows = table(np.stack([counts(ratios)] * 2))
    mine = rows[rows["region"] == "non-discriminative"]
    for share in (0.1, 0.5, 0.9):
        assert quantile(mine, share) == pytest.approx(np.quantile(ratios, share), abs=0.01)


def test_a_panel_for_each_artifact(tmp_path):
    shown = []
    for number, (name, growth) in enumerate({"advcam": 1.5, "unrestricted": 3}.items()):
        (tmp_path / name).mkdir()
        ratios = np.tile([[1, growth]], (10, 1))
        rows = table(np.stack([counts(ratios), counts(1.0 * ratios + [[0, 1]])]))
        rows.to_csv(tmp_path / name / "amplification.csv", index=False)
        shown.append(ShownArtifact("maps", name, name, number, [], tmp_path / name))
    (chart,) = amplification_charts("k", shown)
    # All ten pixels are in a bin: its middle, and 10 to 90 % of it.
    said = "median and 80 % of the pixels after the last step"
    assert chart["alt"] == (
        f"advcam, {said}: discriminative 1.51 (1.50 to 1.52), "
        "non-discriminative 2.51 (2.50 to 2.52); "
        f"unrestricted, {said}: discriminative 3.01 (3.00 to 3.02), "
        "non-discriminative 4.01 (4.00 to 4.02)"
    )
    assert [entry.name for entry in chart["legend"]] == ["discriminative", "non-discriminative"]
    assert "unrestricted" in chart["svg"] and "amplification.csv" in chart["source"]
    Page(chart["svg"])
    assert list(amplification_charts("k", [])) == []
