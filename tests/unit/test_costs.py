"""The chart of label costs: its lines and points, and when there is none."""

import pandas as pd
import pytest

from tags2masks.report.costs import cost_chart, cost_group
from tags2masks.report.lineage import chain_numbers
from tests.unit.read_page import Page


def experiment(name, supervision=("tags",), data="d", seed=0):
    return {
        "experiment": name, "dataset": name.partition("/")[0], "data": data, "seed": seed,
        "supervision": list(supervision),
    }  # fmt: skip


def board_of(*rows):
    return pd.DataFrame(rows, columns=["experiment", "seed", "label_cost", "prediction_iou"])


BOTH = ("tags", "masks")
OUTLINE = [
    experiment("few/v/cam/mixed", BOTH),
    experiment("all/v/cam/net"),
    experiment("all/full/net", ("masks",)),
    experiment("few/full/net", ("masks",)),
    experiment("more/v/cam/mixed", BOTH),
    experiment("other/v/cam/net", data="e"),
    experiment("all/v/cam"),
]
BOARD = board_of(
    ("more/v/cam/mixed", "0", "75.0", "0.7"),
    ("few/v/cam/mixed", "0", "22.2", "0.625"),
    ("all/v/cam/net", "0", "20.0", "0.5"),
    ("all/full/net", "0", "239.7", "0.8"),
    ("few/full/net", "0", "2.4", "0.3"),
    ("other/v/cam/net", "0", "20.0", "0.4"),
    ("all/v/cam", "0", "20.0", ""),
)


def test_a_line_for_each_chain_on_the_same_images():
    group = cost_group("few", OUTLINE)
    assert [e["dataset"] for e in group] == ["few", "all", "all", "few", "more", "all"]
    (chart,) = cost_chart("d0", group, BOARD, chain_numbers(OUTLINE))
    lines = {line.name: line.values[["cost", "iou"]].values.tolist() for line in chart["legend"]}
    assert lines == {
        "tags + masks: v/cam/mixed": [[22.2, 0.625], [75, 0.7]],
        "tags: v/cam/net": [[20, 0.5]],
        "masks: full/net": [[2.4, 0.3], [239.7, 0.8]],
    }
    assert [line.number for line in chart["legend"]] == [0, 1, 2]
    assert chart["alt"] == (
        "tags + masks: v/cam/mixed: 62.5 % at 22.2 s, 70.0 % at 75.0 s; "
        "tags: v/cam/net: 50.0 % at 20.0 s; masks: full/net: 30.0 % at 2.4 s, 80.0 % at 239.7 s"
    )
    for text in ("mean IoU, %", "label cost, seconds per training image", ">50<", ">200<"):
        assert text in chart["svg"]
    Page(chart["svg"])


@pytest.mark.parametrize("dataset", ["all", "more"])
def test_only_the_first_data_set_with_these_images_shows_it(dataset):
    assert cost_group(dataset, OUTLINE) == []


def test_no_chart_where_all_labels_cost_the_same():
    group = cost_group("other", OUTLINE)
    assert [e["experiment"] for e in group] == ["other/v/cam/net"]
    assert list(cost_chart("d0", group, BOARD, chain_numbers(OUTLINE))) == []


def test_of_several_seeds_the_mean_counts():
    outline = [
        experiment(f"{name}@{seed}", ("masks",), seed=seed)
        for name in ("few/full/net", "all/full/net")
        for seed in (0, 1)
    ]
    rows = [
        (name if seed == "mean" else f"{name}@{seed}", seed, cost, iou)
        for name, cost, ious in (
            ("few/full/net", "2.4", {"0": "0.2", "1": "0.4", "mean": "0.3"}),
            ("all/full/net", "239.7", {"0": "0.7", "1": "0.9", "mean": "0.8"}),
        )
        for seed, iou in ious.items()
    ]
    (chart,) = cost_chart("d0", outline, board_of(*rows), chain_numbers(outline))
    (line,) = chart["legend"]
    assert line.values[["cost", "iou"]].values.tolist() == [[2.4, 0.3], [239.7, 0.8]]
