"""The tables of all experiments: their columns, and what they refuse."""

import io

import numpy as np
import pandas as pd
import pytest

from tags2masks.data.index import COLUMNS as INDEX
from tags2masks.data.index import write_classes
from tags2masks.data.tables import write_table
from tags2masks.data.warnings import Warned, write_warnings
from tags2masks.errors import UserError
from tags2masks.provenance import RECIPE, write_record
from tags2masks.report.run_warnings import collect_warnings
from tags2masks.report.summary import (
    LEADERBOARD,
    WARNINGS,
    leaderboard,
    read_outline,
    tidy_metrics,
)
from tests.unit.fabricated_report import with_steps

SPLIT = {"maps": "train", "masks": "train", "predictions": "val"}
ONE = with_steps(
    {"experiment": "pets/vanilla/cam", "dataset": "pets", "has_truth": True},
    {"maps": "cam-01234567"},
)
METRICS = """split,metric,class,value,threshold,tuned_on_masks,images
train,iou,mean,0.4,0.3,False,2
train,iou,mean,0.5,0.5,True,2
"""
CURVE = "threshold,class,iou\n0.0,mean,0.1\n0.3,mean,0.4\n0.5,mean,0.5\n1.0,mean,0.2\n"


def write(path, text):
    """Write a table with its checksums."""
    frame = pd.read_csv(io.StringIO(text), dtype=str, na_filter=False)
    write_table(path, frame, frame.columns)


def tidied(folder, background_score, thresholds, cut=None, chosen=None, tables=(METRICS, CURVE)):
    """The tidy table of an artifact measured at 0, 1/2, 1 and 0.3.

    cut: bytes that are left; chosen: a background score chosen for these maps; tables: its figures
    and its curve.
    """
    home = folder / "pets/maps/cam-01234567"
    metrics, curve = tables
    write(home / "metrics.csv", metrics)
    (home / "metrics.csv").write_bytes((home / "metrics.csv").read_bytes()[:cut])
    (home / "curve.csv").write_text(curve)
    evaluation = {"background_score": background_score, "thresholds": thresholds}
    one = ONE
    if chosen is not None:
        one = ONE | {"seed_scores": {"cam-01234567": "separation-0"}}
        recipe = dict.fromkeys(RECIPE)
        about = {"id": "separation-0", "recipe": recipe, "warnings": [], "areas": {}}
        record = about | {"background_score": chosen}
        (folder / "pets/score/separation-0").mkdir(parents=True)
        write_record(folder / "pets/score/separation-0/score.json", record)
    return tidy_metrics([one], evaluation, folder)


def test_figures_of_this_config_are_taken_as_they_are(tmp_path):
    assert tidied(tmp_path, 0.3, 2)["value"].tolist() == [0.4, 0.5]


def test_a_score_of_many_digits_is_that_of_its_float32(tmp_path):
    assert METRICS.count("0.3,") == 1
    for name, given, stored in (("a", 0.33333333, "0.33333334"), ("b", 1 / 3, "0.33333334")):
        rows = METRICS.replace("0.3,", f"{stored},"), CURVE.replace("0.3,", f"{stored},")
        found = tidied(tmp_path / name, given, 2, tables=rows)
        assert found["value"].tolist() == [0.4, 0.5]


def test_classes_may_be_called_as_what_is_absent(tmp_path):
    named = ["NA", "None", "null", "nan", "N/A"]
    more = "".join(f"train,iou,{name},0.{place},0.3,False,2\n" for place, name in enumerate(named))
    unknown = "train,iou,cat,,0.3,False,2\n"
    found = tidied(tmp_path, 0.3, 2, tables=(METRICS + more + unknown, CURVE))
    assert found["class"].tolist() == ["mean", "mean", *named, "cat"]
    assert found["value"].tolist()[2:-1] == [0, 0.1, 0.2, 0.3, 0.4]
    assert np.isnan(found["value"].iloc[-1])


def test_maps_are_measured_at_the_score_that_was_chosen_for_them(tmp_path):
    assert tidied(tmp_path / "same", None, 2, chosen=0.3)["value"].tolist() == [0.4, 0.5]
    with pytest.raises(UserError, match=r"at the background score 0\.3, but .* is 0\.35;"):
        tidied(tmp_path / "other", None, 2, chosen=0.35)


@pytest.mark.parametrize(
    ("background_score", "thresholds", "cut", "said"),
    [
        (0.5, 2, None, "measured at the background score 0.3, but .* is 0.5; delete it and"),
        (0.3, 4, None, "measured at 4 background scores, .*thresholds: 4; delete it and run"),
        (0.3, 2, -9, "ends in the middle of a line; delete it and run again"),
    ],
)
def test_others_are_refused(tmp_path, background_score, thresholds, cut, said):
    with pytest.raises(UserError, match=rf"cam-01234567/metrics\.csv: {said}"):
        tidied(tmp_path, background_score, thresholds, cut)


def test_the_leaderboard_has_the_contours_of_every_stage(tmp_path):
    chain = with_steps(ONE, dict.fromkeys(["maps", "masks", "predictions"], "x"))
    chain["evaluate_on"] = "val"
    seeds_alone = ONE | {"experiment": "pets/vanilla/other"}
    figures = [("maps", 0.2, True), ("maps", 0.1, False), ("masks", 0.3, False),
               ("predictions", 0.4, False)]  # fmt: skip
    metrics = [
        (ONE["experiment"], stage, SPLIT[stage], "contour_f", name, value + (name == "cat"), tuned)
        for stage, value, tuned in figures
        for name in ("cat", "mean")
    ] + [("pets/vanilla/other", "maps", "train", "contour_f", "mean", 0.5, False)]
    columns = ["experiment", "stage", "split", "metric", "class", "value", "tuned_on_masks"]
    (tmp_path / "pets").mkdir()
    for split in ("train", "val"):
        write(tmp_path / f"pets/{split}.csv", ",".join(INDEX) + "\n")
    warnings = pd.DataFrame(
        [("pets", "", "few cats", "w"), ("pets", ONE["experiment"], "no dog", "w"),
         ("photos", "", "other", "w")],
        columns=list(WARNINGS),
    )  # fmt: skip
    figures = pd.DataFrame(metrics, columns=columns)
    table = leaderboard(figures, [chain, seeds_alone], tmp_path, warnings)
    notes = table.set_index("experiment")["note"].to_dict()
    assert notes == {ONE["experiment"]: "few cats; no dog", "pets/vanilla/other": "few cats"}
    assert tuple(table.columns) == LEADERBOARD
    found = table.set_index("experiment")[
        [f"{step}_contour_f" for step in ("seed", "mask", "prediction")]
    ]
    assert found.loc[ONE["experiment"]].tolist() == [0.1, 0.3, 0.4]
    assert found.loc["pets/vanilla/other", "seed_contour_f"] == 0.5
    assert found.loc["pets/vanilla/other"].isna().tolist() == [False, True, True]


def test_of_two_maps_the_last_counts_and_of_two_classifiers_the_one_that_learned_from_tags(
    tmp_path,
):
    (tmp_path / "pets").mkdir()
    for split in ("train", "val"):
        write(tmp_path / f"pets/{split}.csv", ",".join(INDEX) + "\n")
    rows = [
        ("classifier", "val", "map", 0.9),
        ("maps", "train", "iou", 0.4),
        ("maps", "val", "iou", 0.7),
    ]
    rows += [("classifier", "val", "map", 0.2), ("maps", "train", "iou", 0.6)]
    figures = pd.DataFrame(rows, columns=["stage", "split", "metric", "value"]).assign(
        experiment=ONE["experiment"],
        threshold=0.3,
        tuned_on_masks=False,
        images=2,
        **{"class": "mean"},
    )
    none = pd.DataFrame(columns=list(WARNINGS))
    [row] = leaderboard(figures, [ONE], tmp_path, none).to_dict("records")
    assert (row["classifier_map"], row["seed_iou"], row["seed_iou_val"]) == (0.9, 0.6, 0.7)


def chains(folder):
    """An outline of one chain with three seeds and its reference with two; and its figures."""
    (folder / "pets").mkdir()
    rows = "".join(f"{n},{n}.png,train,cat,1,1,x,0\n" for n in range(4))
    write(folder / "pets/train.csv", ",".join(INDEX) + "\n" + rows)
    write(folder / "pets/val.csv", ",".join(INDEX) + "\n")
    write(folder / "pets/labelled.csv", "image,mask\n0,0\n1,1\n2,2\n3,3\n")
    outline, figures = [], []
    for path, artifacts, values in (
        ("pets/vanilla/cam/crf/net", ["classifier", "maps", "masks", "segmenter"], (0.3, 0.5, 0.4)),
        ("pets/full/net", ["masks", "segmenter"], (0.6, 0.5)),
    ):
        full = path == "pets/full/net"
        for seed, value in enumerate(values):
            one = with_steps(
                {"experiment": f"{path}@{seed}", "dataset": "pets", "has_truth": True},
                dict.fromkeys([*artifacts, "predictions"], "x"),
            )
            about = {"seed": seed, "full": full, "supervision": ["masks"] if full else ["tags"]}
            outline.append(one | about | {"evaluate_on": "val"})
            name = f"{path}@{seed}"
            figures.append((name, "predictions", "val", "iou", "mean", value, False, 7))
            figures.append((name, "masks", "val", "iou", "mean", value / 2, False, 5))
            figures.append((name, "masks", "train", "iou", "mean", value / 4, False, 3))
    columns = ["experiment", "stage", "split", "metric", "class", "value", "tuned_on_masks"]
    columns += ["images"]
    none = pd.DataFrame(columns=list(WARNINGS))
    return leaderboard(pd.DataFrame(figures, columns=columns), outline, folder, none)


def test_seeds_have_their_mean_and_deviation_and_share_of_full(tmp_path):
    table = chains(tmp_path)
    full, ours = ["pets/full/net", "pets/full/net"], ["pets/vanilla/cam/crf/net"] * 2
    assert table["experiment"].tolist() == [
        *full, "pets/full/net@0", "pets/full/net@1",
        *ours, *(f"pets/vanilla/cam/crf/net@{seed}" for seed in range(3)),
    ]  # fmt: skip
    assert table["seed"].tolist() == ["mean", "sd", 0, 1, "mean", "sd", 0, 1, 2]
    iou = table["prediction_iou"].tolist()
    # By hand: 0.55 and 0.1 / sqrt(2); 0.4 and 0.1.
    assert iou == pytest.approx([0.55, 0.070710678, 0.6, 0.5, 0.4, 0.1, 0.3, 0.5, 0.4])
    share = table["share_of_full"]
    assert share[[2, 3, 6, 7]].tolist() == pytest.approx([1, 1, 0.5, 1])
    assert share.isna()[8]  # the reference has no third seed
    assert share[4] == pytest.approx(0.75)
    assert set(table["supervision"][:4]) == {"masks"} and set(table["supervision"][4:]) == {"tags"}
    assert table["mask_iou"].iloc[2] == 0.15 and table["mask_iou_val"].iloc[2] == 0.3
    assert table["label_cost"].tolist() == [239.7] * 4 + [20.0] * 5
    # Counted is what was measured: of four training images three have a mask.
    assert set(table["train_images"]) == {3} and set(table["prediction_images"]) == {7}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"experiments": []}'])
def test_an_outline_without_experiments_is_named(tmp_path, text):
    (tmp_path / "experiments-01234567.json").write_text(text)
    with pytest.raises(UserError, match=r"experiments-01234567\.json: .* delete it and run again"):
        read_outline(tmp_path / "experiments-01234567.json")


def test_warnings_of_data_sets_and_of_means_over_some_classes_are_collected(tmp_path):
    home = tmp_path / "pets"
    write_classes(home / "classes.txt", ["cat", "dog"])
    found = {"train": [Warned("few", 'Few, and "odd".')], "masks": [Warned("m", "Masks.")]}
    for file in ("train", "val", "ood", "masks"):
        write_warnings(home / f"{file}-warnings.csv", found.get(file, []))
    outline = [ONE, ONE | {"experiment": "pets/vanilla/other"}]
    ious = [
        (ONE["experiment"], stage, "train", "iou", name, tuned)
        for stage, names in (("maps", ["background", "cat"]), ("masks", ["background", "dog"]))
        for name in ["mean", *names]
        for tuned in (False, True)
    ]
    ious += [
        ("pets/vanilla/other", "maps", "train", metric, name, False)
        for metric in ("iou", "recall")
        for name in ("mean", "background", "cat", "dog")
    ]
    columns = ["experiment", "stage", "split", "metric", "class", "tuned_on_masks"]
    table = collect_warnings(pd.DataFrame(ious, columns=columns), outline, tmp_path)
    said = "a mean over 2 of 3 classes, without"
    end = "which no mask shows and nothing was taken for; do not compare it with a mean over all"
    assert table.to_numpy().tolist() == [
        ["pets", "", "few", 'Few, and "odd".'],
        ["pets", "", "m", "Masks."],
        ["pets", ONE["experiment"], "seed_iou without dog", f"seed_iou: {said} dog, {end}"],
        ["pets", ONE["experiment"], "mask_iou without cat", f"mask_iou: {said} cat, {end}"],
    ]
    (home / "val-warnings.csv").unlink()
    with pytest.raises(UserError, match=r"val-warnings\.csv: no such file; run again"):
        collect_warnings(pd.DataFrame(ious, columns=columns), outline, tmp_path)


def test_a_classifier_that_got_worse_is_warned_about(tmp_path):
    home = tmp_path / "pets"
    write_classes(home / "classes.txt", ["cat", "dog"])
    for file in ("train", "val", "ood", "masks"):
        write_warnings(home / f"{file}-warnings.csv", [])
    figures = pd.DataFrame(
        columns=["experiment", "stage", "split", "metric", "class", "tuned_on_masks"]
    )
    steps = {"classifier": "vanilla-01234567", "maps": "cam-01234567"}
    about = {"experiment": "pets/vanilla/cam", "dataset": "pets", "has_truth": True}
    curve = home / "classifier/vanilla-01234567/training.csv"
    curve.parent.mkdir(parents=True)

    def collected(*maps):
        lines = [f"{epoch},0.5,{value}" for epoch, value in enumerate(maps, 1)]
        curve.write_text("\n".join(["epoch,loss,val_map", *lines]) + "\n")
        table = collect_warnings(figures, [with_steps(about, steps)], tmp_path)
        return table.to_numpy().tolist()

    assert collected(0.9, 0.978, 0.61, 0.582) == [
        [
            "pets",
            "pets/vanilla/cam",
            "mAP fell from 97.8 to 58.2",
            "the training of vanilla-01234567 did not settle: its mAP on val was 97.8 after epoch "
            "2 and is 58.2 at the end; try a lower optimizer.lr, or optimizer.warmup",
        ]
    ]
    assert collected(0.9, 0.978, 0.61, 0.9) == []  # what happened between does not matter
    assert collected("", "") == []  # no val images
    curve.write_text("epoch,loss\n1,0.5\n")
    assert collect_warnings(figures, [with_steps(about, steps)], tmp_path).empty
    curve.unlink()
    with pytest.raises(UserError, match=r"training\.csv: no such file; run again"):
        collect_warnings(figures, [with_steps(about, steps)], tmp_path)


INSTANCES = """split,metric,class,value,threshold,tuned_on_masks,images
train,ap,mean,0.25,,False,2
train,ap50,mean,0.5,,False,2
train,abo,mean,0.75,,False,2
train,ap,cat,0.25,,False,2
"""


def boxed(folder, *, known, has_truth=True):
    """The tidy table and leaderboard of two chains, one from boxes, one whose masks have instances.

    known: whether true instances are.
    """
    write(folder / "pets/instances/boxfill-0/metrics.csv", INSTANCES)
    write(folder / "pets/masks/irn-0/instances.csv", INSTANCES.replace("0.25", "0.125"))
    write(folder / "pets/masks/irn-0/metrics.csv", METRICS)
    for split in ("train", "val"):
        write(folder / f"pets/{split}.csv", ",".join(INDEX) + "\n")
    about = {"dataset": "pets", "has_truth": has_truth}
    outline = [
        with_steps({"experiment": "pets/boxfill"} | about, {"instances": "boxfill-0"}),
        with_steps({"experiment": "pets/v/cam/irn"} | about, {"masks": "irn-0"}),
    ]
    more = {"has_instances": known, "evaluate_on": "val"}
    outline = [
        one | more | {"instances": list(one["artifacts"].values()), "supervision": ["boxes"]}
        for one in outline
    ]
    metrics = tidy_metrics(outline, {"background_score": 0.3, "thresholds": 2}, folder)
    none = pd.DataFrame(columns=list(WARNINGS))
    return metrics, leaderboard(metrics, outline, folder, none).set_index("experiment")


def test_figures_of_instances_are_in_the_tables(tmp_path):
    metrics, board = boxed(tmp_path, known=True)
    shown = metrics[["stage", "metric", "class", "value"]].to_numpy().tolist()
    assert ["instances", "ap", "cat", 0.25] in shown and ["masks", "ap", "mean", 0.125] in shown
    assert ["masks", "iou", "mean", 0.4] in shown and len(shown) == 10
    names = ["instance_ap", "instance_ap50", "instance_abo"]
    assert board.loc["pets/boxfill", names].tolist() == [0.25, 0.5, 0.75]
    assert board.loc["pets/v/cam/irn", names].tolist() == [0.125, 0.5, 0.75]
    assert board.loc["pets/v/cam/irn", "mask_iou"] == 0.4
    assert board["note"].tolist() == ["", ""] and board["prediction_ap"].isna().all()


def test_figures_of_predicted_instances_are_apart(tmp_path):
    own = tmp_path / "pets"
    write(own / "instances/boxfill-0/metrics.csv", INSTANCES)
    write(own / "predictions/rcnn-0/metrics.csv", METRICS.replace("train", "val"))
    of_val = INSTANCES.replace("train", "val").replace("0.25", "0.125")
    write(own / "predictions/rcnn-0/instances.csv", of_val)
    for split in ("train", "val"):
        write(own / f"{split}.csv", ",".join(INDEX) + "\n")
    about = {"experiment": "pets/boxfill/rcnn", "dataset": "pets", "has_truth": True}
    artifacts = {"instances": "boxfill-0", "predictions": "rcnn-0"}
    more = {"has_instances": True, "evaluate_on": "val", "instances": ["boxfill-0", "rcnn-0"]}
    outline = [with_steps(about, artifacts) | more]
    metrics = tidy_metrics(outline, {"background_score": 0.3, "thresholds": 2}, tmp_path)
    board = leaderboard(metrics, outline, tmp_path, pd.DataFrame(columns=list(WARNINGS)))
    names = ["instance_ap", "instance_ap50", "prediction_ap", "prediction_ap50", "prediction_abo"]
    assert board.loc[0, names].tolist() == [0.25, 0.5, 0.125, 0.5, 0.75]
    assert board.loc[0, ["prediction_iou", "prediction_split"]].tolist() == [0.4, "val"]


def test_without_true_instances_the_leaderboard_says_so(tmp_path):
    metrics, board = boxed(tmp_path, known=False)
    assert set(metrics["metric"]) == {"iou"} and board["instance_ap"].isna().all()
    assert set(board["note"]) == {"no true instances: instances not measured"}


def test_nothing_is_measured_without_masks_and_classifiers(tmp_path):
    metrics, board = boxed(tmp_path, known=False, has_truth=False)
    assert metrics.empty and set(board["note"]) == {"no masks: quality not measured"}
    assert set(board["supervision"]) == {"boxes"}
