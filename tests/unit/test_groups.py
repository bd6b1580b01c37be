"""Means over groups of classes: P-NOC's table 8, groups by size, the program, the page."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.project import parse_config
from tags2masks.config.reading import read_config
from tags2masks.config.voc import VOC_CLASSES
from tags2masks.data.index import write_classes
from tags2masks.errors import UserError
from tags2masks.metrics.groups import group_figures, members
from tags2masks.report.class_groups import group_table
from tags2masks.report.published import published_tables, with_groups
from tags2masks.report.reading import read_groups, read_metrics, read_properties
from tags2masks.workflow.catalog import Catalog
from tags2masks.workflow.described import Described
from tests.unit.test_config import BASE
from tests.unit.test_properties import measured
from workflow_scripts import group_classes

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "papers/published/pnoc.csv"
CLASSES = ["cat", "dog", "cow"]
SIZES = pd.DataFrame(
    {
        "split": ["train"] * 4 + ["val"],
        "class": ["background", *CLASSES, "cow"],
        "images": [9, 4, 3, 2, 1],
        "relative_size": [0.7, 0.3, 0.1, 0.2, 0.9],
        "co_occurrence": [None, 0.5, 0.25, 0.75, 0.1],
        "cardinality": [None, 1.5, 1.25, 2.0, 1.1],
    }
)


def table_8():
    """Its rows, and the groups of papers/pnoc.yaml."""
    frame = pd.read_csv(PUBLISHED)
    config = parse_config(read_config(ROOT / "papers/pnoc.yaml"))
    return frame[frame["table"] == "Table 8"], config.report.class_groups["voc"]


def test_groups_of_the_paper_have_its_means():
    rows, groups = table_8()
    of_classes = rows[rows["class"].isin(VOC_CLASSES)]
    properties = of_classes[of_classes["method"] == "classes of the data"]
    properties = properties.pivot(index="class", columns="metric", values="value").reset_index()
    properties = properties.assign(split="train", images=9)
    methods = of_classes[of_classes["metric"] == "seed_iou"].groupby("note", sort=False)
    metrics = pd.concat(
        [
            measured(note, "maps", "train", dict(zip(mine["class"], mine["value"], strict=True)))
            for note, mine in methods
        ]
    )
    found = members({k: list(v) for k, v in groups.items()}, VOC_CLASSES, properties, "x")
    figures = group_figures(found, metrics, properties, "voc")
    assert len(figures) == 7 * (6 + 3)
    expected = rows[rows["class"].str.startswith("group: ", na=False)]
    assert len(expected) == len(figures)
    for row in expected.to_dict("records"):
        plain = row["metric"].removeprefix("seed_")
        mine = figures[(figures["group"] == row["class"][7:]) & (figures["metric"] == plain)]
        if plain == "iou":
            mine = mine[mine["experiment"] == row["note"]]
        # From figures of one decimal, and means that are rounded to one.
        assert mine["value"].item() == pytest.approx(row["value"], abs=0.101), row
    assert figures["classes"].tolist()[:3] == [5, 5, 5]


def test_groups_by_size_are_of_the_training_masks():
    groups = {"small": {"smallest": 2}, "large": {"largest": 1}, "pets": ["dog", "cat"]}
    found = members(groups, CLASSES, SIZES, "report.class_groups.pets")
    assert found == {"small": ["dog", "cow"], "large": ["cat"], "pets": ["dog", "cat"]}


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (["cat", "bird"], "report.class_groups.pets.g: no class 'bird'; choose from cat, dog, cow"),
        (
            {"largest": 4},
            "report.class_groups.pets.g: largest: 4, but the training masks show 3 classes; write "
            "at most this number",
        ),
    ],
)
def test_groups_that_the_data_does_not_have(group, message):
    with pytest.raises(UserError) as error:
        members({"g": group}, CLASSES, SIZES, "report.class_groups.pets")
    assert str(error.value) == message


def test_classes_without_a_figure_are_left_out_of_a_mean_and_tuned_ones_stay_apart():
    metrics = pd.concat(
        [
            measured("voc/v/cam", "maps", "train", {"cat": 0.5, "dog": 0.1, "mean": 0.9}),
            measured("voc/v/cam", "maps", "train", {"cat": 0.7, "cow": None}, tuned=True),
        ]
    )
    figures = group_figures({"all": CLASSES, "cows": ["cow"]}, metrics, SIZES, "voc")
    iou = figures[figures["metric"] == "iou"]
    assert iou[["group", "value", "classes", "tuned_on_masks"]].to_numpy().tolist() == [
        ["all", 0.3, 2, False],
        ["all", 0.7, 1, True],
    ]
    # The properties come first, of each split.
    first = figures.iloc[:12]
    assert first["experiment"].isna().all() and set(first["split"]) == {"train", "val"}
    sizes = first[(first["metric"] == "relative_size") & (first["split"] == "train")]
    assert sizes["value"].tolist() == pytest.approx([0.2, 0.2])


def test_the_program_the_table_and_published_figures(tmp_path, monkeypatch):
    home = tmp_path / "pets"
    home.mkdir()
    SIZES.to_csv(home / "properties.csv", index=False)
    write_classes(home / "classes.txt", CLASSES)
    ious = {"mean": 0.5, "cat": 0.3, "dog": 0.5, "cow": 0.9}
    rows = [measured("pets/v/cam/crf", "maps", "train", ious)]
    rows += [measured("pets/v/cam/crf", "masks", "train", {k: v / 2 for k, v in ious.items()})]
    rows += [measured("pets/v/cam/crf", "masks", "val", dict.fromkeys(ious, 1))]
    # Certain labels, which IRN's boundaries are trained on, are measured and have no column.
    rows += [measured("pets/v/cam/crf", "labels", "train", dict.fromkeys(ious, 0.9))]
    metrics = pd.concat(rows).assign(dataset="pets")
    metrics.to_csv(tmp_path / "metrics.csv", index=False)
    outline = {
        "experiments": [{"experiment": "pets/v/cam/crf"}],
        "report": {"class_groups": {"pets": {"small": {"smallest": 2}, "pets": ["cat", "dog"]}}},
    }
    (tmp_path / "outline.json").write_text(json.dumps(outline))
    words = ["x", "--outline", tmp_path / "outline.json", "--metrics", tmp_path / "metrics.csv"]
    words += ["--results", tmp_path, "--output", tmp_path / "groups.csv"]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    group_classes.main()
    figures = read_groups(tmp_path / "groups.csv")
    shown = group_table(figures)
    assert shown.names == [("small", "2"), ("pets", "2")]
    assert shown.properties == [
        ("Size, % of the image", ["15.0", "20.0"]),
        ("Co-occurrence, % with another tag", ["50.0", "37.5"]),
        ("Tags", ["1.62", "1.38"]),
    ]
    assert shown.rows == [("pets/v/cam/crf", "mask", ["35.0", "20.0"])]

    path = tmp_path / "paper.csv"
    path.write_text(
        "paper,table,dataset,split,method,metric,value,note,class\n"
        "P,T,pets,train,v/cam,seed_iou,33.3,,group: small\n"
    )
    steps = [[1, "classifier", "v-1"], [2, "maps", "cam-1"], [3, "masks", "crf-1"]]
    one = {"experiment": "pets/v/cam/crf", "dataset": "pets", "seed": 0, "steps": steps}
    ((figure,),) = [
        published.figures
        for published in published_tables(
            [path], [one], with_groups(read_metrics(tmp_path / "metrics.csv"), figures)
        )
    ]
    assert figure.measured == [("pets/v/cam", "70.0")]
    assert read_properties(home / "properties.csv")["relative_size"].notna().all()


def raw(groups):
    return BASE | {"report": {"class_groups": groups}}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            {"digit": {"a": ["0"]}},
            "report.class_groups.digit: no data set with pixel masks in an experiment; did you "
            "mean 'digits'? choose from digits",
        ),
        (
            {"digits": {"a": {"smallest": 1, "largest": 1}}},
            "report.class_groups.digits.a: set either smallest or largest, to a number of classes",
        ),
        (
            {"digits": {"a": {"smallest": 0}}},
            "report.class_groups.digits.a: a number of classes is a whole number from 1 on",
        ),
        (
            {"digits": {"a": []}},
            "report.class_groups.digits.a: write a list of classes, {smallest: 5} or {largest: 5}",
        ),
    ],
)
def test_configs_that_cannot_be(groups, message):
    with pytest.raises(ConfigError) as error:
        Catalog(raw(groups))
    assert message in str(error.value).splitlines()


def test_groups_are_in_the_outline():
    groups = {"digits": {"round": ["0", "6"], "small": {"smallest": 3}}}
    outline = json.loads(Described(raw(groups)).outline)
    assert outline["report"]["class_groups"] == groups
