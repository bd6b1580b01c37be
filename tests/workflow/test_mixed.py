"""True masks of a few images beside tags: a run, its figures, and what other masks make anew."""

import copy as copying
import json

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG, fresh_project

pytestmark = pytest.mark.slow  # whole chains of its own

FEW = dict.fromkeys(
    ("dropout", "cutout", "vat", "context_masking", "object_masking", "feature_drop"), 0
)


def semi_supervised(labelled) -> dict:
    """A config of both methods on a data set where so many images have true masks."""
    config = copying.deepcopy(CONFIG)
    digits = config["datasets"]["digits"] | {"shards": 1}
    config["datasets"] = {"digits": digits, "few": digits | {"labelled": labelled}}
    config["classifiers"]["vanilla"]["epochs"] = 1
    net = config["segmenters"]["net"]
    config["segmenters"]["mixed"] = net | {"method": "mixed"}
    cct = {name: net[name] for name in ("backbone", "augment", "epochs")}
    cct |= {"method": "cct", "batch_size": 4, "perturbations": FEW | {"feature_noise": 2}}
    config["segmenters"]["cct"] = cct
    config["masks"]["full"] = {"method": "full"}
    config["experiments"] = [
        "few / vanilla / cam / threshold / {net,mixed,cct}",
        "few / full / cct",
    ]
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with four masks of 16 images."""
    project = fresh_project(tmp_path_factory.mktemp("mixed"), semi_supervised(4))
    project.make()
    return project


def test_supervision_and_label_cost(run):
    board = pd.read_csv(run.folder / "results" / "leaderboard.csv").set_index("experiment")
    both = 239.7 / 4 + 20 * 3 / 4
    for chain, said, cost in (
        ("vanilla/cam/threshold/net", "tags", 20),
        ("vanilla/cam/threshold/mixed", "tags + 4 masks", both),
        ("vanilla/cam/threshold/cct", "tags + 4 masks", both),
        ("full/cct", "4 masks", 239.7 / 4),
    ):
        row = board.loc[f"few/{chain}"]
        assert row["supervision"] == said
        assert row["label_cost"] == pytest.approx(cost, rel=1e-5)
        assert 0 <= row["prediction_iou"] <= 1
    page = (run.folder / "results" / "report.html").read_text(encoding="utf-8")
    assert "Prediction IoU against label cost" in page


def test_the_lineage_says_who_read_masks(run):
    (lineage,) = (run.folder / "results" / "few" / "segmenter").glob("mixed-*/lineage.json")
    chain = json.loads(lineage.read_text(encoding="utf-8"))
    assert [(one["stage"], one["learns_from"]) for one in chain] == [
        ("classifier", ["tags"]), ("maps", ["tags"]), ("masks", []), ("segmenter", ["masks"]),
    ]  # fmt: skip
    assert chain[-1]["supervision"] == ["tags", "masks"]


def test_another_number_of_masks_trains_anew_what_learns_from_them(run):
    assert run.would_run() == {}
    run.configure(semi_supervised(5))
    try:
        planned = run.would_run()
    finally:
        run.configure(semi_supervised(4))
    assert {planned.get(rule) for rule in ("mixed", "full")} == {1} and planned["cct"] == 2
    assert not {"vanilla", "cam", "threshold", "deeplabv3plus"} & set(planned)
