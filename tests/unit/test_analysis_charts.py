"""The report's charts of analyses: what they show of their tables."""

import pandas as pd
import pytest

from tags2masks.errors import UserError
from tags2masks.report.analyses import climbs_chart, gradient_charts, landscape_charts
from tags2masks.report.lineage import ShownArtifact
from tests.unit.read_page import Page


def artifact(folder, stage="maps"):
    return ShownArtifact(stage, "rib-1", "vanilla/rib", 0, ["d/vanilla/rib"], folder)


def test_gradients_have_a_line_for_each_region_over_layers_and_over_steps(tmp_path):
    rows = [
        (over, number, region, share, 9)
        for over, numbers in (("layer", (1, 2)), ("step", (0, 1, 2)))
        for number in numbers
        for region, share in (("discriminative", 0.5), ("background", 0.1 * number))
    ]
    table = pd.DataFrame(rows, columns=["over", "number", "region", "ratio", "images"])
    table.to_csv(tmp_path / "gradients.csv", index=False)
    layers, steps = gradient_charts("k", artifact(tmp_path))
    assert layers["title"] == "High gradients by layer: vanilla/rib"
    assert layers["alt"] == "discriminative: 50.0, 50.0; background: 10.0, 20.0"
    assert steps["title"] == "High gradients of the logit over RIB's steps: vanilla/rib"
    assert [line.name for line in steps["legend"]] == ["discriminative", "background"]
    Page(layers["svg"] + steps["svg"])


def test_both_halves_of_a_surface_stand_beside_each_other(tmp_path):
    rows = [
        (around, a, b, 1 + a * (1 + (a > 0)), 0, 9)
        for around in ("images", "weights")
        for a in (-0.5, 0, 0.5)
        for b in (-0.5, 0, 0.5)
    ]
    names = ["around", "first", "second", "loss", "deviation", "images"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "landscape.csv", index=False)
    images, weights = landscape_charts("k", artifact(tmp_path, "classifier"))
    assert images["alt"] == (
        "mean loss along the first direction; adversarial climbing: 1 to 0.5; "
        "adversarial attack: 1 to 2"
    )
    assert weights["alt"] == "mean loss along the first direction; weights: 0.5 to 2"
    assert images["title"] == "Loss around images: vanilla/rib"
    assert "adversarial climbing</text>" in images["svg"].replace("\n", "")
    Page(images["svg"] + weights["svg"])


def test_climbs_start_at_their_image(tmp_path):
    rows = [
        *[("image", f"{name}{n}", name, 0, n, n) for name in ("a", "b") for n in range(3)],
        *[("climb", f"{name}1", name, step, 1 + step, 1) for name in ("a", "b") for step in (0, 1)],
    ]
    table = pd.DataFrame(rows, columns=["kind", "image", "class", "step", "x", "y"])
    table.to_csv(tmp_path / "climbs.csv", index=False)
    chart = climbs_chart("k", artifact(tmp_path))
    assert chart["alt"] == (
        "3 images of a, 3 images of b; stars are the images that climb, triangles their 1 steps"
    )
    assert [one.name for one in chart["legend"]] == ["a", "b"]
    Page(chart["svg"])


def test_an_absent_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"climbs\.csv"):
        climbs_chart("k", artifact(tmp_path))
