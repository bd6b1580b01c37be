"""Objects of any class: hinted, refined, or given in a folder; they guide labels and cut seeds."""

import copy as copying

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.data.index import read_index
from tests.workflow.conftest import CONFIG, NETWORK, VIEWS
from tests.workflow.test_supervision import jobs_of, leaks, undeclared

pytestmark = pytest.mark.slow  # whole chains of its own

SMALL = {"start": "vanilla", "backbone": NETWORK, "augment": VIEWS, "epochs": 1, "batch_size": 8}
STRIDE_32 = {"backbone": {"name": "test_resnet", "output_stride": 32}}
OBJECTNESS = {
    "c2am": {"method": "c2am", "scales": [1], "network": SMALL | {"start": None}},
    "hinted": {
        "method": "c2am_h",
        "scales": [1],
        "network": SMALL | {"hints": "vanilla/cam"},
    },
    "refined": {"method": "refined", "masks": {"iterations": 1}, "network": SMALL | STRIDE_32},
    "detector": {"method": "given", "folder": "saliency"},
}
MASKS = {
    "guided": {
        "method": "confident",
        "saliency": "hinted/refined",
        "foreground_score": 0.4,
        "iterations": 1,
    },
    "check": {"method": "saliency_check", "saliency": "detector"},
    "cut": {"method": "saliency_cut", "saliency": "detector", "background": "cut"},
}


def test_objects_guide_labels_and_cut_seeds(copy):
    config = copying.deepcopy(CONFIG)
    config |= {"objectness": copying.deepcopy(OBJECTNESS), "masks": MASKS}
    config["objectness"]["c2am"]["network"]["backbone"] = NETWORK | {"weights": None}
    config["experiments"] = [
        "digits / vanilla / cam / guided / check",
        "digits / vanilla / cam / cut",
        "digits / c2am",
        "digits / hinted / refined",
    ]
    copy.configure(config)
    folder = copy.folder / "saliency"
    folder.mkdir()
    images = read_index(copy.folder / "results/digits/train.csv")["image"]
    for number, image in enumerate(images):
        # Right halves are salient, but of the first image nothing.
        pixels = np.zeros((32, 32), np.uint8)
        pixels[:, 16:] = 255 * (number > 0)
        Image.fromarray(pixels).save(folder / f"{image}.png")
    planned = copy.would_run()
    # Hints' maps are there already. A network each, and what it finds in both shards.
    networks = ("c2am_network", "c2am_h_network", "refined_network")
    assert [planned[rule] for rule in networks] == [1, 1, 1] and "cam" not in planned
    assert [planned[rule] for rule in ("c2am", "c2am_h", "refined", "given")] == [2] * 4
    of_masks = ("object_crf", "confident", "saliency_cut", "saliency_check")
    assert [planned[rule] for rule in of_masks] == [2] * 4
    jobs = jobs_of(copy)
    assert leaks(jobs) == set() and undeclared(jobs, copy) == set()

    copy.make()
    assert copy.would_run() == {}
    results = copy.folder / "results"
    board = pd.read_csv(results / "leaderboard.csv").set_index("experiment")
    assert board["supervision"].to_dict() == {
        "digits/vanilla/cam/guided/check": "tags + saliency",
        "digits/vanilla/cam/cut": "tags + saliency",
        "digits/c2am": "none",
        "digits/hinted/refined": "tags",
    }
    figures = pd.read_csv(results / "metrics.csv")
    of_objects = figures[figures["stage"].isin(["objectness", "object_masks"])]
    assert set(of_objects["metric"]) == {"iou", "precision", "recall", "f1", "prior_iou"}
    assert of_objects.loc[of_objects["metric"] == "prior_iou", "tuned_on_masks"].all()
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "Object IoU against the background score" in page
    assert "Training of the saliency networks" in page
    seen = {f"any class, {method}" for method in ("given", "c2am", "c2am_h", "crf", "refined")}
    assert all(f"<span>{said}</span>" in page for said in seen)

    # One map is lost: a line names it and says what to do.
    lost = folder / f"{images[3]}.png"
    lost.unlink()
    done = copy.snakemake("--forcerun", "given")
    assert done.returncode != 0
    assert f"{lost.relative_to(copy.folder)}: no such saliency map; 1 of" in done.stderr
