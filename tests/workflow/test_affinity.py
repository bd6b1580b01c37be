"""Chains with affinity networks and with growing labels, really run; and what runs again."""

import copy as copying
import json
import re

import numpy as np
import pandas as pd
import pytest

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.instance_store import read_instances
from tags2masks.store import Shard
from tests.workflow.conftest import CONFIG, NETWORK, VIEWS, fresh_project

END = {
    "lineage": 1, "collect": 1, "correlate": 1, "collect_plausibility": 1, "correlate_doubts": 1,
    "report_page": 1, "outline": 1,
}  # fmt: skip
LOOKED_AT = {"measure_plausibility": 3}  # other masks of the run are compared with those of a chain
IRN = {
    "irn_walk": 2, "separation": 1, "irn": 2, "measure_labels": 1, "measure_masks_instances": 1,
} | LOOKED_AT | END  # fmt: skip
PSA = {"psa_walk": 2, "psa": 2, "measure_labels": 1} | LOOKED_AT | END
TRAINING = {"augment": VIEWS, "epochs": 1, "batch_size": 8, "radius": 3}


def config_of(irn=None, psa=None, net=None):
    """The small config with three chains: two walks, and a segmenter whose labels grow."""
    config = copying.deepcopy(CONFIG)
    frozen = {"backbone": NETWORK, "init_from_classifier": True} | TRAINING
    config["masks"] = {
        "irn": {
            "method": "irn",
            "affinity": frozen,
            "instances": True,
            "crf": {"iterations": 1},
        }
        | (irn or {}),
        "psa": {
            "method": "psa",
            "labels": {"low_power": 4, "high_power": 32},
            "affinity": {"backbone": NETWORK} | TRAINING,
            "background_power": 16,
        }
        | (psa or {}),
        "sure": {"method": "confident", "foreground_score": 0.3, "background_score": 0.05},
    }
    config["segmenters"]["net"] |= {"growing": {"stride": 4}} | (net or {})
    config["experiments"] = ["digits / vanilla / cam / {irn,psa}", "digits/vanilla/cam/sure/net"]
    return config


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The chains, finished."""
    project = fresh_project(tmp_path_factory.mktemp("affinity"), config_of())
    project.make()
    return project


def test_every_chain_ends_in_figures(made):
    assert made.would_run() == {}
    figures = pd.read_csv(made.folder / "results/metrics.csv")
    stages = figures.groupby("experiment")["stage"].unique().map(set).to_dict()
    walks = {"classifier", "maps", "labels", "masks"}
    assert stages["digits/vanilla/cam/irn"] == stages["digits/vanilla/cam/psa"] == walks
    assert stages["digits/vanilla/cam/sure/net"] == {"classifier", "maps", "masks", "predictions"}
    assert {"labelled", "contour_f"} <= set(figures.loc[figures["stage"] == "labels", "metric"])
    (table,) = (made.folder / "results/digits/segmenter").glob("*/training.csv")
    grown = pd.read_csv(table)
    assert {"seeding", "boundary", "grown"} <= set(grown.columns) and grown["grown"].iloc[0] > 0
    # What the networks learned from stands in the report, with its share of the pixels.
    page = (made.folder / "results/report.html").read_text(encoding="utf-8")
    labels = re.findall(r"<b>certain labels</b> <span>of (\d+\.\d) % of the pixels</span>", page)
    assert len(labels) >= 2 * 2 and all(0 < float(share) <= 100 for share in labels)


def test_instances_lie_beside_the_masks_and_are_measured(made):
    (folder,) = (made.folder / "results/digits/masks").glob("irn-*")
    index = read_index(made.folder / "results/digits/train.csv")
    rows = rows_of(index, "train", 0)
    with Shard(folder / "0.zarr.zip", folder.name, images_sha(rows)) as shard:
        assert len(rows) == 8
        for image in rows["image"]:
            found = read_instances(shard, image)
            drawn = np.sum([each.mask for each in found], axis=0)
            assert drawn.shape == (32, 32) and drawn.max() == 1  # none covers another
            # Masks differ by the CRF that refines them afterwards.
            assert {each.class_id for each in found} >= set(np.unique(shard.read(image)[0])) - {0}
    figures = pd.read_csv(made.folder / "results/metrics.csv", dtype={"class": str})
    figures = figures[(figures["artifact"] == folder.name) & (figures["class"] == "mean")]
    told = figures.set_index("metric")["value"]
    assert 0 <= told["ap"] <= told["ap50"] <= told["ap25"] <= 1 and 0 <= told["abo"] <= 1
    board = pd.read_csv(made.folder / "results/leaderboard.csv").set_index("experiment")
    shown = board.loc["digits/vanilla/cam/irn", "instance_ap"]
    assert shown == pytest.approx(told["ap"], abs=1e-5)
    assert board["instance_abo"].count() == 1


def test_lineage_names_every_step(made):
    (path,) = (made.folder / "results/digits/masks").glob("irn-*/lineage.json")
    chain = json.loads(path.read_text())
    steps = [(one["stage"], one["recipe"]["method"]) for one in chain]
    assert steps == [
        ("classifier", "vanilla"), ("maps", "cam"), ("score", "separation"),
        ("labels", "confident"), ("affinity", "irn"), ("walk", "irn"), ("score", "separation"),
        ("masks", "irn"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"irn": {"beta": 4}}, IRN),
        ({"irn": {"steps": 16}}, IRN),
        ({"irn": {"background_score": 0.3}},
         {"irn": 2, "measure_labels": 1, "measure_masks_instances": 1} | LOOKED_AT | END),
        ({"irn": {"crf": None}},
         {"irn": 2, "measure_scores": 1, "measure_masks_instances": 1} | LOOKED_AT | END),
        ({"psa": {"background_power": 8}}, PSA),
        ({"irn": {"labels": {"foreground_score": 0.4, "background_score": 0.1}}},
         {"confident_labels": 2, "irn_affinity": 1} | IRN | {"measure_labels": 2}),
        ({"irn": {"labels": {"foreground_area": 0.5}}},
         {"confident_labels": 2, "irn_affinity": 1} | IRN | {"measure_labels": 2}),
        ({"psa": {"background_power": None}}, PSA),  # irn's labels have the score already
        ({"psa": {"labels": {"low_power": 3, "high_power": 32}}},
         {"agreed_labels": 2, "psa_affinity": 1} | PSA | {"measure_labels": 2}),
        ({"irn": {"batch_size": 2}}, {}),
        ({"net": {"growing": None}},
         {"deeplabv3plus": 1, "predictions": 2, "measure_labels": 1, "measure_plausibility": 1,
          "examples": 1} | END),
    ],
)  # fmt: skip
def test_a_changed_parameter(made, changes, expected):
    made.configure(config_of(**changes))
    try:
        assert made.would_run() == expected
    finally:
        made.configure(config_of())


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("affinity/walk.py",
         {"irn_walk": 2, "separation": 1, "irn": 2, "psa_walk": 2, "psa": 2,
          "measure_labels": 2, "measure_masks_instances": 1} | LOOKED_AT),
        ("masks/irn.py",
         {"irn": 2, "measure_labels": 1, "measure_masks_instances": 1} | LOOKED_AT),
        ("affinity/psa.py",
         {"psa_affinity": 1, "psa_walk": 2, "psa": 2, "measure_labels": 1} | LOOKED_AT),
        ("masks/agreed.py",
         {"agreed_labels": 2, "psa_affinity": 1, "psa_walk": 2, "psa": 2, "measure_labels": 2}
         | LOOKED_AT),
        ("segmenters/dsrg.py",
         {"deeplabv3plus": 1, "predictions": 2, "measure_labels": 1, "measure_plausibility": 1,
          "examples": 1}),
    ],
)  # fmt: skip
def test_an_edited_source(made, file, expected):
    path = made.folder / "tags2masks" / file
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\nX = 1\n", encoding="utf-8")
    try:
        planned = {job: n for job, n in (expected | END).items() if job != "outline"}
        assert made.would_run() == planned
    finally:
        path.write_text(text, encoding="utf-8")
