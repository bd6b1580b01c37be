"""Charts of sweeps with repeats: box plots by hand, their lines, and of which images they are."""

import matplotlib
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tags2masks.report.plots import Series
from tags2masks.report.sensitivity import (
    BOXES_TEXT,
    LINES_TEXT,
    POINTS_TEXT,
    Panel,
    box_of,
    box_text,
    draw_repeats,
    ordered,
    sensitivity,
    what_is_drawn,
)
from tags2masks.report.sweeps import sweep_charts

DRAWN = ("iou", "contour_f", "ndr_recall")

# In order: 10, 12, 14, 16, 18, 40. Quartiles at places 1.25 and 3.75 of 0 to 5, counted from the
# first: 12 + 0.25 · 2 = 12.5 and 16 + 0.75 · 2 = 17.5; the median is (14 + 16) / 2. 1.5 times their
# distance is 7.5: whiskers may reach from 5 to 25, and end at 10 and 18; 40 is beyond.
SIX = [0.16, 0.10, 0.40, 0.14, 0.12, 0.18]


def test_a_box_by_hand():
    box = box_of([100 * value for value in SIX])
    found = [box[name] for name in ("whislo", "q1", "med", "q3", "whishi")]
    assert found == pytest.approx([10, 12.5, 15, 17.5, 18])
    assert list(box["fliers"]) == pytest.approx([40])
    assert box_text(SIX) == (
        "18.3 (6 repeats: median 15.0, quartiles 12.5 and 17.5, whiskers 10.0 and 18.0, "
        "beyond 40.0)"
    )
    # A value at the very end of 1.5 times the distance is in the whisker: 25 = 17.5 + 7.5.
    assert list(box_of([10, 12, 14, 16, 18, 25])["fliers"]) == []


def test_fewer_than_three_have_no_box():
    assert box_text([0.25]) == "25.0"
    assert box_text([0.25, 0.3]) == "27.5"
    assert box_text([0.5, 0.7, 0.8]) == (
        "66.7 (3 repeats: median 70.0, quartiles 60.0 and 75.0, whiskers 50.0 and 80.0)"
    )


def drawn(values):
    """What is drawn of the repeats (%) at place 2, as lists of the lines' heights."""
    axes = Figure().subplots()
    draw_repeats(axes, [(2, pd.Series(values))], 0.4, 1, tuned=False)
    return [[float(y) for y in line.get_ydata()] for line in axes.lines], axes


def test_what_is_drawn_has_the_numbers_of_the_box():
    lines, axes = drawn([100 * value for value in SIX])
    box, lower, upper, *caps, median, beyond = lines
    assert box == pytest.approx([12.5, 12.5, 17.5, 17.5, 12.5])
    assert lower == pytest.approx([12.5, 10]) and upper == pytest.approx([17.5, 18])
    assert [cap[0] for cap in caps] == pytest.approx([10, 18])
    assert median == pytest.approx([15, 15]) and beyond == pytest.approx([40])
    assert axes.lines[0].get_xdata() == pytest.approx([1.8, 2.2, 2.2, 1.8, 1.8])


def test_two_repeats_are_two_points():
    [points], axes = drawn([25, 30])
    assert points == [25, 30]
    assert list(axes.lines[0].get_xdata()) == [2, 2]
    assert axes.lines[0].get_linestyle() == "None"


def line(name, number, *rows):
    return Series(name, number, pd.DataFrame(rows, columns=["setting", "value"]))


def test_lines_with_repeats_stand_beside_each_other(monkeypatch):
    figures = []
    original = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure,
        "savefig",
        lambda self, *args, **kwargs: figures.append(self) or original(self, *args, **kwargs),
    )
    rows = [("10", 0.5), ("10", 0.7), ("2", 0.3), ("2", 0.4)]
    one, other = line("a", 0, *rows), line("b", 1, *rows)
    sensitivity("k", [Panel("mean IoU, %", [one, other], [])], "maps.x.y")
    [axes] = figures[0].axes
    # 2 is at 0 and 10 at 1, in order of size: evenly, not by their distance. Two lines: 0.15 of it
    # to the left and to the right, with their means.
    means = [(list(at.get_xdata()), list(at.get_ydata())) for at in axes.lines[2::3]]
    assert means[0][0] == pytest.approx([-0.15, 0.85]) and means[1][0] == pytest.approx(
        [0.15, 1.15]
    )
    assert means[0][1] == pytest.approx([35, 60])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "10"]
    assert axes.get_ylim()[0] > 0
    # Without repeats the axis has the numbers' distances, and begins at 0.
    single = line("a", 0, ("10", 0.5), ("2", 0.3))
    sensitivity("k", [Panel("mean IoU, %", [single], [])], "maps.x.y")
    [axes] = figures[1].axes
    assert list(axes.lines[0].get_xdata()) == [2, 10] and axes.get_ylim()[0] == 0


def test_the_note_says_what_there_is():
    ones = line("a", 0, ("1", 0.1), ("2", 0.2))
    twos = line("a", 0, ("1", 0.1), ("1", 0.2))
    threes = line("a", 0, ("1", 0.1), ("1", 0.2), ("1", 0.3))
    assert what_is_drawn([ones]) == ""
    assert what_is_drawn([ones, twos]) == f"{POINTS_TEXT} {LINES_TEXT}"
    assert what_is_drawn([ones, threes]) == f"{BOXES_TEXT} {LINES_TEXT}"
    assert what_is_drawn([twos, threes]) == f"{BOXES_TEXT} {POINTS_TEXT} {LINES_TEXT}"


def test_settings_in_order():
    assert ordered(["10", "2", "1e-05", "2"]) == ["1e-05", "2", "10"]
    assert ordered(["sgd", "2", "adamw"]) == ["sgd", "2", "adamw"]


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        (["1", "2", "50"], [1, 2, 50]),
        (["0.001", "4e-6", "1e-5"], [0, 1, 2]),
        (["0", "99"], [0, 99]),
    ],
)
def test_numbers_of_several_decades_are_spaced_evenly(monkeypatch, settings, places):
    drawn = []
    monkeypatch.setattr(Axes, "set_xticks", lambda axes, at, labels: drawn.append((at, labels)))
    values = pd.DataFrame({"setting": settings, "value": 0.5})
    sensitivity("k", [Panel("IoU", [Series("a", 0, values)], [])], "lr")
    assert drawn == [(places, sorted(settings, key=float))]


def swept(*rows, **about):
    """Rows of sweep.csv: (setting, second setting, seed, value)."""
    same = {
        "parameter": "classifiers.gmp.lambda_sampled",
        "by": "classifiers.gmp.similarity_weight",
        "chain": "a/gmp/pcm",
        "dataset": "a",
        "split": "train",
        "stage": "maps",
        "metric": "iou",
        "tuned_on_masks": False,
    }
    return pd.DataFrame(
        [
            same
            | {"setting": setting, "by_setting": by, "value": value}
            | {"experiment": f"a/gmp-lambda_sampled-{setting}-similarity_weight-{by}/pcm@{seed}"}
            | about
            for setting, by, seed, value in rows
        ]
    )


def charts(table):
    names = dict.fromkeys(table["experiment"].str.partition("@")[0])
    colours = {name: number for number, name in enumerate(names)}
    return list(
        sweep_charts(
            "d0", table, {e: colours[e.partition("@")[0]] for e in table["experiment"]}, DRAWN
        )
    )


def test_one_parameter_with_repeats():
    table = swept(
        *(("5", "", seed, value) for seed, value in enumerate(SIX)),
        ("9", "", 0, 0.2), ("9", "", 1, 0.3),
        by="",
    )  # fmt: skip
    [chart] = charts(table)
    assert chart["alt"] == f"gmp/pcm, mean IoU, %: {box_text(SIX)} at 5, 25.0 at 9"
    assert chart["note"] == f"{BOXES_TEXT} {POINTS_TEXT} {LINES_TEXT}"


def test_two_parameters_with_repeats_have_a_line_for_each_value_of_the_second():
    table = swept(
        *((at, by, seed, value) for at, by, values in (
            ("0.5", "0", (0.1, 0.2, 0.6)),
            ("0.5", "1", (0.3, 0.3, 0.3)),
            ("1", "0", (0.5, 0.5, 0.8)),
            ("1", "1", (0.2, 0.4, 0.5)),
        ) for seed, value in enumerate(values)),
    )  # fmt: skip
    grid, chart = charts(table)
    said = "classifiers.gmp.lambda_sampled by classifiers.gmp.similarity_weight"
    assert grid["title"] == f"Sensitivity to {said}: seed"
    assert grid["alt"].endswith(
        "30.0 at 0.5 and 0, 30.0 at 0.5 and 1, 60.0 at 1 and 0, 36.7 at 1 and 1"
    )
    assert chart["title"] == f"Sensitivity to {said}, each repeat: seed"
    assert [line.name for line in chart["legend"]] == [
        "gmp/pcm, similarity_weight 0",
        "gmp/pcm, similarity_weight 1",
    ]
    assert len({line.number for line in chart["legend"]}) == 2
    first, second = chart["alt"].split("; ")
    # Of three values the quartiles are halfway to the middle one.
    assert first == (
        "gmp/pcm, similarity_weight 0, mean IoU, %: "
        "30.0 (3 repeats: median 20.0, quartiles 15.0 and 40.0, whiskers 10.0 and 60.0) at 0.5, "
        "60.0 (3 repeats: median 50.0, quartiles 50.0 and 65.0, whiskers 50.0 and 80.0) at 1"
    )
    assert second.endswith(
        "36.7 (3 repeats: median 40.0, quartiles 30.0 and 45.0, whiskers 20.0 and 50.0) at 1"
    )
    assert charts(table)[1]["svg"] == chart["svg"]
    # One seed alone: the grid alone.
    assert len(charts(table[table["experiment"].str.endswith("@0")])) == 1


def test_validation_images_have_charts_of_their_own():
    rows = [("1", "", 0, 0.2), ("2", "", 0, 0.4)]
    of_val = swept(*rows, by="", split="val").assign(value=[0.3, 0.5])
    predicted = swept(*rows, by="", split="val", stage="predictions")
    table = pd.concat([swept(*rows, by=""), of_val, predicted], ignore_index=True)
    found = {
        chart["title"].partition(": ")[2]: chart["alt"].partition(": ")[2]
        for chart in charts(table)
    }
    assert found == {
        "seed": "20.0 at 1, 40.0 at 2",
        "prediction": "20.0 at 1, 40.0 at 2",
        "seed on validation images": "30.0 at 1, 50.0 at 2",
    }
    assert len({chart["svg"] for chart in charts(table)}) == 3


def test_of_a_stage_that_a_chain_has_twice_the_last_counts():
    # A classifier on masks follows: seeds of the first classifier come before its own.
    rows = [("1", "", 0, 0.9), ("1", "", 0, 0.2), ("2", "", 0, 0.9), ("2", "", 0, 0.4)]
    [chart] = charts(swept(*rows, by=""))
    assert chart["alt"] == "gmp/pcm, mean IoU, %: 20.0 at 1, 40.0 at 2"
    assert chart["note"] == ""
