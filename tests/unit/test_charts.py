"""The report's charts: inline, alike every time, a panel for what there is."""

import re

import numpy as np
import pandas as pd

from tags2masks.report.charts import charts as dataset_charts
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.plots import Mark, Separation, Series, class_bars, curves, training
from tags2masks.stages import STAGES
from tests.unit.read_page import Page


def test_charts_are_inline_and_alike_every_time():
    curve = pd.DataFrame({"threshold": [0, 0.5, 1], "iou": [0.1, 0.5, 0.2]})
    epochs = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.3], "val_map": [0.6, 0.8]})

    def draw():
        return [
            curves("a", [Series("m & <m>", 9, curve)], {"m & <m>": [Mark(0.5, 0.5, True)]}),
            training("b", [Series("c", 0, epochs)], "val_map", "validation mAP"),
            class_bars("c", ["seed", "mask"], [("mean", [0.4, 0.5]), ("<b>", [0.3, None])], 1),
        ]

    charts = draw()
    assert charts == draw()
    ids = [set(re.findall(r'id="([^"]*)"', chart)) for chart in charts]
    assert ids[0] and not ids[0] & ids[1]
    for chart in charts:
        Page(chart)
        assert chart.startswith("<svg viewBox=")
        assert "font-family" not in chart and "metadata" not in chart
        assert not re.findall(r"#0a0[ab]", chart)  # every stand-in got the page's colour
        assert "currentColor" in chart and "<text" in chart
    assert "var(--series-1)" in charts[0]  # the ninth colour is the first again, but one
    assert "validation mAP, %" in charts[1]
    assert "&lt;b&gt;" in charts[2] and "<b>" not in charts[2]


def test_how_a_score_was_chosen_is_drawn_below_its_curve():
    curve = Series("m", 0, pd.DataFrame({"threshold": [0, 0.5, 1], "iou": [0.1, 0.5, 0.2]}))
    values = pd.DataFrame({"score": [0.25, 0.5], "colour": [2.0, 1.0], "features": [0.0, 0.1]})
    plain = curves("a", [curve], {})
    at_half, at_quarter = (
        curves("a", [curve], {}, [Separation(0, values, chosen)]) for chosen in (0.5, 0.25)
    )
    assert "separation without masks" not in plain and "separation without masks" in at_half
    (moved,) = (
        (one, other)
        for one, other in zip(at_half.splitlines(), at_quarter.splitlines(), strict=True)
        if one != other and one.startswith("<path")
    )  # the vertical line alone
    left, right = sorted(float(re.search(r"M ([\d.]+)", line)[1]) for line in moved)
    # From 0.25 to 0.5 is as far as from the colour's first point to its second.
    xs = [
        tuple(map(float, found))
        for found in re.findall(r"M ([\d.]+) [\d.]+\nL ([\d.]+) [\d.]+\n", at_half)
    ]
    assert any(np.allclose((left, right), pair, atol=0.01) for pair in xs)


def test_schedules_get_a_panel_each_where_a_method_has_them(tmp_path):
    plain = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.3]})
    rising = plain.assign(lambda_re=[1.0, 4.0], lr_noc=[0.0025, 0.001], delta_noc=[0.2, 0.2])
    made: dict = {name: [] for name in STAGES}
    for number, (name, table) in enumerate({"vanilla": plain, "pnoc": rising}.items()):
        (tmp_path / name).mkdir()
        table.to_csv(tmp_path / name / "training.csv", index=False)
        one = ShownArtifact("classifier", name, name, number, [], tmp_path / name)
        made["classifier"].append(one)
    metrics = pd.DataFrame({"stage": [], "threshold": [], "artifact": []})
    training_chart, chart = dataset_charts("d", made, metrics)
    assert training_chart["title"] == "Training of the classifiers"
    assert [line.name for line in chart["legend"]] == ["pnoc"]
    assert chart["alt"] == (
        "pnoc: lambda_re 1 in the first epoch, 4 in the last; "
        "pnoc: lr_noc 0.0025 in the first epoch, 0.001 in the last; "
        "pnoc: delta_noc 0.2 in the first epoch, 0.2 in the last"
    )
    assert all(name in chart["svg"] for name in ("lambda_re", "rate × lambda_noc"))
    assert "lambda_cse" not in chart["svg"]
    Page(chart["svg"])
    without = made | {"classifier": made["classifier"][:1]}
    assert len(list(dataset_charts("d", without, metrics))) == 1


def test_tables_that_were_asked_for_are_drawn_and_no_others(tmp_path):
    epochs = pd.DataFrame(
        {
            "epoch": [1, 1, 2, 2, 2],
            "metric": ["iou", "iou", "iou", "iou", "recall"],
            "class": "mean",
            "value": [0.1, 0.15, 0.2, 0.25, 0.9],
            "tuned_on_masks": [False, True, False, True, False],
        }
    )
    steps = pd.DataFrame(
        {"step": [0, 1], "iou": [0.3, 0.2], "iou_so_far": [0.3, 0.35], "noise": [0.5, np.nan]}
    )
    made: dict = {name: [] for name in STAGES}
    training_csv = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.3]})
    training_csv.to_csv(tmp_path / "training.csv", index=False)
    made["classifier"] = [ShownArtifact("classifier", "c", "c", 0, [], tmp_path)]
    made["maps"] = [ShownArtifact("maps", "m", "c/advcam", 1, [], tmp_path)]
    metrics = pd.DataFrame({"stage": [], "threshold": [], "artifact": []})
    tables = {"epochs.csv": epochs, "steps.csv": steps}
    for name, table in tables.items():
        table.to_csv(tmp_path / name, index=False)
    assert len(list(dataset_charts("d", made, metrics))) == 1
    asked = [tmp_path / name for name in tables]
    _, of_epochs, of_steps = dataset_charts("d", made, metrics, asked)
    assert of_epochs["alt"] == "c/advcam, at the reported score: 10.0, 20.0"
    assert of_steps["alt"] == "c/advcam, of all steps so far: 30.0, 35.0"
    assert ">step<" in of_steps["svg"] and ">epoch<" in of_epochs["svg"]
    assert "at the best score (tuned on masks), %" in of_epochs["svg"]
    for chart in (of_epochs, of_steps):
        assert "with masks" in chart["title"] and chart["source"].startswith("maps/")
        Page(chart["svg"])


def test_a_measure_that_nothing_has_is_left_out():
    epochs = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.3], "val_map": [np.nan, np.nan]})
    chart = training("a", [Series("c", 0, epochs)], "val_map", "validation mAP")
    assert "validation mAP" not in chart and ">loss<" in chart
