"""Masks at a background score that is chosen without masks."""

import copy as copying
import json

import pandas as pd

from tags2masks.config.project import parse_config
from tags2masks.workflow.building import build_experiments
from tests.workflow.conftest import CONFIG
from tests.workflow.test_supervision import jobs_of, leaks, undeclared

NAME = "digits/vanilla/cam/auto"


def masks_of(config: dict) -> str:
    """The id of the chain's masks."""
    (found,) = [e for e in build_experiments(parse_config(config)) if e.name == NAME]
    return found.artifacts["masks"].id


def test_a_chain_at_a_chosen_score_ends_in_figures(copy):
    config = copying.deepcopy(CONFIG)
    config["masks"]["auto"] = {"method": "threshold"}
    config["masks"]["even"] = {"method": "smooth"}
    config["masks"]["few"] = {"method": "threshold", "background_score": {"method": "few_masks"}}
    config["datasets"]["digits"]["labelled"] = 4
    config["experiments"].append("digits / vanilla / cam / {auto,even,few}")
    config["evaluation"] = {"background_score": "auto"}
    copy.configure(config)
    planned = copy.would_run()
    assert (planned["separation"], planned["threshold"], planned["smooth"]) == (1, 4, 2)
    assert planned["few_masks"] == 1
    assert planned["measure_maps"] == 1  # for these maps one score serves all
    assert planned.keys() & {"vanilla", "cam", "digits"} == set()
    jobs = jobs_of(copy)
    assert leaks(jobs) == set() and undeclared(jobs, copy) == set()
    copy.make()
    assert copy.would_run() == {}
    (file,) = copy.folder.glob("results/digits/score/separation-*/score.json")
    chosen = json.loads(file.read_text(encoding="utf-8"))
    score = max(chosen["by_colour"], chosen["by_features"])
    assert chosen["background_score"] == score and chosen["images"] == 16
    assert len(chosen["curves"]["colour"]) == len(chosen["curves"]["features"]) == 19
    lineage = json.loads(
        next(file.parents[2].glob(f"masks/{masks_of(config)}/lineage.json")).read_text()
    )
    assert [one["stage"] for one in lineage] == ["classifier", "maps", "score", "masks"]
    # Masks at a fixed score of the same value are the same, and their figures.
    config["masks"]["fixed"] = {"method": "threshold", "background_score": score}
    config["experiments"].append("digits / vanilla / cam / fixed")
    copy.configure(config)
    copy.make()
    board = pd.read_csv(copy.folder / "results/leaderboard.csv").set_index("experiment")
    fixed = board.loc["digits/vanilla/cam/fixed"]
    assert board.loc[NAME.replace("auto", "few"), "supervision"] == "tags + 4 masks"
    assert board.loc[NAME, "supervision"] == "tags"
    assert board.loc[NAME, "mask_iou"] == fixed["mask_iou"]
    # Seeds are measured at the chosen score too, and masks with a curve.
    assert set(board["seed_background_score"]) == {score}
    assert board.loc[NAME, "seed_iou"] == fixed["mask_iou"]
    figures = pd.read_csv(copy.folder / "results/metrics.csv")
    even = figures[(figures["experiment"] == NAME.replace("auto", "even"))]
    even = even[(even["stage"] == "masks") & (even["metric"] == "iou") & ~even["tuned_on_masks"]]
    assert set(even["threshold"]) == {score}
    assert "background score of few images" in board.loc[NAME, "note"]
    assert "background score of few images" in fixed["note"]  # its seed's was chosen
