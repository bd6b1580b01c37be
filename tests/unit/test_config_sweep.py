"""Sweeps of a parameter: derived entries, their experiments, their table and their chart."""

import json
import sys

import pandas as pd
import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.project import parse_config
from tags2masks.config.sweep import Setting, add_derived_entries, expand_sweeps
from tags2masks.report.reading import read_sweep
from tags2masks.report.summary import METRICS, SWEEP
from tags2masks.report.sweeps import sweep_charts
from tags2masks.workflow.building import build_experiments
from workflow_scripts import tabulate_sweep

DRAWN = ("iou", "contour_f", "ndr_recall")

BASE = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}, "small": {"method": "cam", "scales": [1]}},
    "masks": {
        "crf": {"method": "crf", "background_score": 0.3},
        "plain": {"method": "threshold", "background_score": 0.3},
    },
    "evaluation": {"background_score": 0.3},
    "experiments": ["digits / vanilla / {cam,small} / plain"],
}
STRIDES = {"entry": "maps.cam", "field": "stride", "values": [2, 4, 8]}
LOW = {"entry": "masks.plain", "field": "background_score", "values": [0.1]}


def experiments(*sweeps, **change):
    return build_experiments(parse_config(BASE | change | {"sweep": list(sweeps)}))


def test_an_experiment_for_each_value_and_others_as_they_are():
    found = experiments(STRIDES)
    assert [one.name for one in found] == [
        "digits/vanilla/cam-stride-2/plain",
        "digits/vanilla/cam-stride-4/plain",
        "digits/vanilla/cam-stride-8/plain",
        "digits/vanilla/small/plain",
    ]
    chain = "digits/vanilla/cam/plain"
    assert found[0].setting == Setting("maps.cam.stride", 2, chain)
    assert found[3].setting is None
    assert [one.artifacts["maps"].recipe["spec"]["stride"] for one in found] == [2, 4, 8, 4]


def test_what_the_values_do_not_change_is_made_once():
    found = experiments(STRIDES)
    assert len({one.artifacts["classifier"].id for one in found}) == 1
    assert len({one.artifacts["maps"].id for one in found}) == 4
    # The value that the entry has anyway is the artifact that it makes anyway.
    [plain] = build_experiments(parse_config(BASE | {"experiments": ["digits / vanilla / cam"]}))
    assert found[1].artifacts["maps"].id == plain.artifacts["maps"].id


def test_several_sweeps_vary_one_parameter_at_a_time():
    found = experiments(STRIDES, LOW)
    assert [one.name for one in found] == [
        "digits/vanilla/cam-stride-2/plain",
        "digits/vanilla/cam-stride-4/plain",
        "digits/vanilla/cam-stride-8/plain",
        "digits/vanilla/cam/plain-background_score-0.1",
        "digits/vanilla/small/plain-background_score-0.1",
    ]


def test_two_parameters_of_two_entries_are_tried_in_pairs():
    found = experiments(STRIDES | {"values": [2, 8], "by": LOW | {"values": [0.1, 0.2]}})
    assert [one.name for one in found] == [
        "digits/vanilla/cam-stride-2/plain-background_score-0.1",
        "digits/vanilla/cam-stride-2/plain-background_score-0.2",
        "digits/vanilla/cam-stride-8/plain-background_score-0.1",
        "digits/vanilla/cam-stride-8/plain-background_score-0.2",
        "digits/vanilla/small/plain",  # not through both
    ]
    chain, by = "digits/vanilla/cam/plain", "masks.plain.background_score"
    assert found[1].setting == Setting("maps.cam.stride", 2, chain, by, 0.2)
    assert found[4].setting is None
    assert found[0].artifacts["maps"].id == found[1].artifacts["maps"].id  # made once
    assert [one.artifacts["masks"].recipe["spec"]["background_score"] for one in found] == [
        0.1, 0.2, 0.1, 0.2, 0.3,
    ]  # fmt: skip


def test_two_parameters_of_one_entry_are_tried_in_pairs():
    flips = {"entry": "maps.cam", "field": "flip", "values": [True, False]}
    pairs = STRIDES | {"values": [2, 8], "by": flips}
    # The same parameter may be swept alone too: its experiments have the other's usual value.
    found = experiments(pairs, STRIDES | {"values": [2]}, experiments=["digits / vanilla / cam"])
    assert [one.name.rpartition("/")[2] for one in found] == [
        "cam-stride-2-flip-True",
        "cam-stride-2-flip-False",
        "cam-stride-8-flip-True",
        "cam-stride-8-flip-False",
        "cam-stride-2",
    ]
    specs = [one.artifacts["maps"].recipe["spec"] for one in found]
    assert [(spec["stride"], spec["flip"]) for spec in specs] == [
        (2, True), (2, False), (8, True), (8, False), (2, True),
    ]  # fmt: skip
    assert found[4].artifacts["maps"].id == found[0].artifacts["maps"].id


def test_arguments_of_a_backbone_can_be_swept():
    sweep = {"entry": "classifiers.vanilla", "field": "backbone.args.kernel", "values": [1, 3]}
    found = experiments(sweep, experiments=["digits / vanilla"])
    assert [one.name for one in found] == ["digits/vanilla-kernel-1", "digits/vanilla-kernel-3"]
    backbone = found[1].artifacts["classifier"].recipe["spec"]["backbone"]
    assert backbone["args"] == {"kernel": 3} and backbone["name"] == "resnet50"


def test_a_block_keeps_its_other_fields():
    raw = BASE | {"classifiers": {"vanilla": {"method": "vanilla", "optimizer": {"lr": 0.5}}}}
    sweep = {"entry": "classifiers.vanilla", "field": "optimizer.weight_decay", "values": [0, 0.1]}
    config = add_derived_entries(parse_config(raw | {"sweep": [sweep]}))
    block = config.classifiers["vanilla-weight_decay-0.1"]
    assert (block.optimizer.lr, block.optimizer.momentum) == (0.5, 1e-4)
    assert block.optimizer.weight_decay == 0.1


def test_values_that_another_field_stands_in_for():
    psa = {"psa": {"method": "psa", "background_power": 16}}
    sweep = {"entry": "masks.psa", "field": "background_score", "values": [0.2, 0.3]}
    said = r"sweep.0: 'psa-background_score-0.2' and 'psa-background_score-0.3' are equal; another"
    with pytest.raises(ConfigError, match=said):
        add_derived_entries(parse_config(BASE | {"masks": psa, "sweep": [sweep]}))


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        ([STRIDES | {"entry": "map.cam"}], "sweep.0.entry: no section 'map'; did you mean 'maps'?"),
        (
            [STRIDES | {"entry": "maps.kam"}],
            "sweep.0.entry: no entry 'kam' in maps; did you mean 'cam'? choose from cam, small",
        ),
        (
            [STRIDES | {"field": "strid"}],
            "sweep.0.field: no field 'strid' in maps.cam; did you mean 'stride'? choose from "
            "batch_size, flip, images, network, precision, scales, stride",
        ),
        (
            [STRIDES | {"field": "stride.x"}],
            "sweep.0.field: no field 'x' in maps.cam.stride; choose from (none)",
        ),
        ([STRIDES | {"field": "method"}], "sweep.0.field: no field 'method' in maps.cam"),
        (
            [{"entry": "masks.crf", "field": "gaussian", "values": [1]}],
            "sweep.0.field: masks.crf.gaussian is no single value; sweep one inside it, such as "
            "sxy, compat",
        ),
        (
            [{"entry": "classifiers.vanilla", "field": "backbone.args.a.b", "values": [1, 2]}],
            "sweep.0.field: classifiers.vanilla.backbone.args has values alone; name one key of it",
        ),
        ([STRIDES | {"values": [2, "a"]}], "sweep.0.values: 'a' is not valid: "),
        ([STRIDES | {"values": [99]}], "sweep.0.values: 99 is not valid: "),
        ([STRIDES | {"values": [2, 2]}], "sweep.0.values: a value is listed twice; keep one"),
        ([STRIDES | {"values": []}], "sweep.0.values: () is not valid"),
        (
            [{"entry": "classifiers.vanilla", "field": "backbone.weights", "values": ["a/b"]}],
            "sweep.0.values: 'vanilla-weights-a/b' is no name; ",
        ),
        ([STRIDES, STRIDES], "sweep.1: maps.cam.stride is swept above; put all values together"),
        (
            [{"entry": "masks.crf", "field": "iterations", "values": [1]}],
            "sweep.0: no experiment goes through masks.crf; add one or remove this",
        ),
        (
            [STRIDES | {"by": {"entry": "masks.crf", "field": "iterations", "values": [1]}}],
            "sweep.0: no experiment goes through maps.cam and masks.crf; add one or remove this",
        ),
        (
            [STRIDES | {"by": LOW | {"entry": "masks.plane"}}],
            "sweep.0.by.entry: no entry 'plane' in masks; did you mean 'plain'?",
        ),
        (
            [STRIDES | {"by": LOW | {"field": "score"}}],
            "sweep.0.by.field: no field 'score' in masks.plain; ",
        ),
        ([STRIDES | {"by": LOW | {"values": [7]}}], "sweep.0.by.values: 7 is not valid: "),
        ([STRIDES | {"by": LOW | {"values": [0.1, 0.1]}}], "sweep.0.by.values: a value is listed"),
        ([STRIDES | {"by": LOW | {"values": []}}], "sweep.0.by.values: () is not valid"),
        ([STRIDES | {"by": STRIDES}], "sweep.0.by: maps.cam.stride is swept by itself; name"),
        ([STRIDES | {"by": LOW | {"by": LOW}}], "sweep.0.by.by: "),
        (
            [STRIDES | {"by": LOW}, LOW | {"by": STRIDES}],
            "sweep.1: masks.plain.background_score × maps.cam.stride is swept above; put all",
        ),
    ],
)
def test_sweeps_that_cannot_be(sweeps, message):
    with pytest.raises(ConfigError) as error:
        experiments(*sweeps)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_a_derived_name_must_be_free():
    maps = BASE["maps"] | {"cam-stride-8": {"method": "cam"}}
    with pytest.raises(ConfigError, match=r"sweep\.0: maps has an entry 'cam-stride-8' already"):
        experiments(STRIDES, maps=maps)


def test_without_sweeps_nothing_changes():
    config = parse_config(BASE)
    assert add_derived_entries(config) == config
    assert list(expand_sweeps(config).values()) == [None, None]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """results/sweep.csv of two strides and a chain that is not swept, by hand."""
    outline, rows = [], []
    for stride, iou in ((8, 0.25), (2, 0.5)):
        name = f"a/v/cam-stride-{stride}/plain"
        swept = {"parameter": "maps.cam.stride", "value": stride, "chain": "a/v/cam/plain"}
        outline.append({"experiment": name, "dataset": "a", "sweep": swept})
        about = (name, "a", "train")
        rows += [
            (*about, "maps", "m", "iou", "mean", 0.9, 0.3, False, 4),
            (*about, "masks", "k", "iou", "mean", iou, 0.3, False, 4),
            (*about, "masks", "k", "iou", "cat", 0.1, 0.3, False, 4),
            (*about, "masks", "k", "iou", "mean", iou + 0.1, 0.7, True, 4),
            (*about, "masks", "k", "ndr_recall", "mean", iou / 2, 0.3, False, 4),
        ]
    rows.append(("a/v/cam", "a", "train", "maps", "m", "iou", "mean", 0.7, 0.3, False, 4))
    outline.append({"experiment": "a/v/cam", "dataset": "a"})
    pd.DataFrame(rows, columns=list(METRICS)).to_csv(tmp_path / "metrics.csv", index=False)
    (tmp_path / "outline.json").write_text(json.dumps({"experiments": outline}))
    words = ["--outline", "outline.json", "--metrics", "metrics.csv", "--output", "sweep.csv"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tabulate_sweep", *words])
    tabulate_sweep.main()
    return tmp_path / "sweep.csv"


def test_the_table_by_hand(table):
    frame = pd.read_csv(table)
    assert tuple(frame.columns) == SWEEP
    columns = ["parameter", "setting", "chain", "stage", "metric", "value", "tuned_on_masks"]
    about = ["maps.cam.stride", 8, "a/v/cam/plain"]
    assert frame[columns].to_numpy().tolist()[:4] == [
        [*about, "maps", "iou", 0.9, False],
        [*about, "masks", "iou", 0.25, False],
        [*about, "masks", "iou", 0.35, True],
        [*about, "masks", "ndr_recall", 0.125, False],
    ]
    assert frame["setting"].tolist() == [8] * 4 + [2] * 4
    assert frame["by"].isna().all() and frame["by_setting"].isna().all()


def test_the_chart_shows_the_stages_on_which_the_parameter_tells(table):
    numbers = {"a/v/cam-stride-8/plain": 0, "a/v/cam-stride-2/plain": 1, "a/v/cam": 2}
    [chart] = sweep_charts("d0", read_sweep(table), numbers, DRAWN)
    # The maps' figure is the same at both strides: the stage where the chain ends, alone.
    assert chart["title"] == "Sensitivity to maps.cam.stride: mask"
    assert chart["alt"] == (
        "v/cam/plain, mean IoU, %: 25.0 at 8, 50.0 at 2; "
        "v/cam/plain, NDR-Recall, %: 12.5 at 8, 25.0 at 2"
    )
    assert chart["svg"].count("var(--series-0)") and "var(--series-1)" not in chart["svg"]
    # Both figures in two panels; the tuned line, dotted, in the first alone.
    assert chart["svg"].count("stroke-dasharray") == 1
    again = next(sweep_charts("d0", read_sweep(table), numbers, DRAWN))
    assert again["svg"] == chart["svg"]


def test_settings_that_are_no_numbers_stand_side_by_side(table):
    frame = read_sweep(table)
    frame["setting"] = frame["setting"].map({"8": "sgd", "2": "adamw"})
    [chart] = sweep_charts("d0", frame, dict.fromkeys(frame["experiment"], 0), DRAWN)
    assert chart["svg"].index(">sgd<") < chart["svg"].index(">adamw<")


def pairs_of(*rows):
    """Rows of sweep.csv of a chain of maps: (setting, second setting, seed, iou, tuned)."""
    about = {
        "parameter": "maps.rib.margin",
        "by": "maps.rib.lr",
        "chain": "a/v/rib",
        "dataset": "a",
        "split": "train",
        "stage": "maps",
        "metric": "iou",
    }
    return pd.DataFrame(
        [
            about
            | {"setting": setting, "by_setting": by, "value": iou, "tuned_on_masks": tuned}
            | {"experiment": f"a/v/rib-margin-{setting}-lr-{by}@{seed}"}
            for setting, by, seed, iou, tuned in rows
        ]
    )


def test_a_grid_of_two_parameters_by_hand():
    table = pairs_of(
        ("600", "1e-05", 0, 0.5, False),
        ("600", "1e-05", 1, 0.6, False),
        ("600", "5e-06", 0, 0.25, False),
        ("50", "1e-05", 0, 0.75, False),
        ("50", "5e-06", 0, 0.3, False),
        ("600", "1e-05", 0, 0.8, True),
    )
    chart, _ = sweep_charts("d0", table, dict.fromkeys(table["experiment"], 3), DRAWN)
    assert chart["title"] == "Sensitivity to maps.rib.margin by maps.rib.lr: seed"
    first, best = chart["alt"].split("; ")
    # Numbers in order of size; two seeds as their mean; in the second panel, the one known figure.
    assert first == (
        "v/rib, mean IoU, %: 30.0 at 50 and 5e-06, 75.0 at 50 and 1e-05, "
        "25.0 at 600 and 5e-06, 55.0 at 600 and 1e-05"
    )
    assert best == "v/rib, mean IoU, at the best score (tuned on masks), %: 80.0 at 600 and 1e-05"
    assert all(text in chart["svg"] for text in ("30.0", "75.0", "25.0", "55.0", "80.0"))
    assert chart["svg"].count("fill: var(--series-3)") == 5
    # The lowest is the palest, the highest the darkest and bold.
    assert "opacity: 0.06" in chart["svg"] and "opacity: 0.55" in chart["svg"]
    again = next(sweep_charts("d0", table, dict.fromkeys(table["experiment"], 3), DRAWN))
    assert again["svg"] == chart["svg"]


def test_earlier_stages_have_a_chart_where_the_parameter_changes_them():
    seeds = pairs_of(("5", "", 0, 0.5, False), ("9", "", 0, 0.6, False)).assign(by="")
    masks = seeds.assign(stage="masks", value=[0.7, 0.8])
    rows = pd.concat([seeds, masks])
    titles = [
        c["title"] for c in sweep_charts("d0", rows, dict.fromkeys(rows["experiment"], 0), DRAWN)
    ]
    assert titles == [f"Sensitivity to maps.rib.margin: {stage}" for stage in ("seed", "mask")]


def test_the_figures_that_are_asked_for_are_drawn_in_their_order():
    rows = pairs_of(("5", "", 0, 0.5, False), ("9", "", 0, 0.6, False)).assign(by="")
    precision = rows.assign(metric="fg_precision", value=[0.25, 0.35])
    table = pd.concat([rows, precision, rows.assign(metric="recall", value=0.9)])
    numbers = dict.fromkeys(table["experiment"], 0)
    [chart] = sweep_charts("d0", table, numbers, ("fg_precision", "iou", "abo"))
    assert chart["alt"] == (
        "v/rib, Foreground precision, %: 25.0 at 5, 35.0 at 9; "
        "v/rib, mean IoU, %: 50.0 at 5, 60.0 at 9"
    )
    assert list(sweep_charts("d0", table, numbers, ("ap50",))) == []
