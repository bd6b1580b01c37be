"""Self-training: the masks of a round are the predictions of the one before."""

import copy as copying
import json

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG
from tests.workflow.test_supervision import jobs_of, leaks, undeclared

pytestmark = pytest.mark.slow

ROUNDS = {
    "first": {"method": "predicted", "of": "vanilla/cam/threshold/net"},
    "second": {"method": "predicted", "of": "first/net", "confidence": 0.5},
}


def test_rounds_are_made_from_each_other(copy):
    config = copying.deepcopy(CONFIG)
    config["masks"] |= ROUNDS
    config["experiments"] = ["digits / second / net"]
    copy.configure(config)
    planned = copy.would_run()
    # The first chain is there already, and is in no experiment of this config.
    assert (planned["predicted"], planned["deeplabv3plus"]) == (4, 2)
    assert planned.keys() & {"vanilla", "cam", "threshold"} == set()
    jobs = jobs_of(copy)
    assert leaks(jobs) == set() and undeclared(jobs, copy) == set()
    copy.make()
    assert copy.would_run() == {}
    board = pd.read_csv(copy.folder / "results/leaderboard.csv").set_index("experiment")
    assert board.index.tolist() == ["digits/second/net"]
    assert board["supervision"].tolist() == ["tags"] and board["mask_iou"].notna().all()
    lineages = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in copy.folder.glob("results/digits/predictions/*/lineage.json")
    ]
    longest = max(lineages, key=len)
    assert [one["stage"] for one in longest] == [
        "classifier", "maps", "masks", "segmenter", "masks", "segmenter", "masks", "segmenter",
        "predictions",
    ]  # fmt: skip
    # Another confidence makes the second round again, and nothing of the first.
    config["masks"]["second"]["confidence"] = 0.6
    copy.configure(config)
    again = copy.would_run()
    assert (again["predicted"], again["deeplabv3plus"]) == (2, 1)
