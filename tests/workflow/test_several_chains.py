"""Maps of several chains averaged, and masks of several chains voted on, in the workflow."""

import copy as copying

import pandas as pd

from tests.workflow.conftest import CONFIG
from tests.workflow.test_supervision import jobs_of, leaks, undeclared


def test_chains_come_together(copy):
    config = copying.deepcopy(CONFIG)
    config["maps"]["both"] = {"method": "mean", "of": ["vanilla/cam", "vanilla/large"]}
    config["maps"]["large"] = {"method": "cam", "scales": [2]}
    config["masks"]["chosen"] = {"method": "threshold"}
    chains = ["vanilla/cam/threshold", "vanilla/cam/crf", "vanilla/both/threshold"]
    config["masks"]["voted"] = {"method": "vote", "of": chains}
    config["experiments"] = ["digits / vanilla / both / chosen", "digits / voted"]
    copy.configure(config)
    planned = copy.would_run()
    # Both shards of each; the first chain is there already.
    assert (planned["mean"], planned["vote"], planned["cam"], planned["threshold"]) == (2, 2, 2, 4)
    assert planned.keys() & {"vanilla", "crf"} == set()
    jobs = jobs_of(copy)
    assert leaks(jobs) == set() and undeclared(jobs, copy) == set()
    copy.make("results/leaderboard.csv")
    board = pd.read_csv(copy.folder / "results/leaderboard.csv").set_index("experiment")
    assert board["supervision"].eq("tags").all() and board["mask_iou"].notna().all()
