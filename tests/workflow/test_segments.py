"""Masks of whole segments in the workflow: superpixels, and a folder of segments."""

import copy as copying

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.data.index import read_index
from tests.workflow.conftest import CONFIG
from tests.workflow.test_supervision import jobs_of, leaks, undeclared

pytestmark = pytest.mark.slow


def test_segments_take_the_classes_of_masks(copy):
    config = copying.deepcopy(CONFIG)
    config["masks"]["superpixels"] = {"method": "segments", "segments": {"min_size": 20}}
    config["masks"]["halves"] = {
        "method": "segments",
        "segments": {"method": "given", "folder": "halves"},
        "region_share": None,
    }
    config["experiments"] = [
        "digits / vanilla / cam / threshold / {superpixels,halves}",
        "digits / vanilla / cam / crf / superpixels / net",
    ]
    copy.configure(config)
    folder = copy.folder / "halves"
    folder.mkdir()
    images = read_index(copy.folder / "results/digits/train.csv")["image"]
    for image in images:
        pixels = np.ones((32, 32), np.uint8)
        pixels[:, 16:] = 2
        Image.fromarray(pixels).save(folder / f"{image}.png")
    planned = copy.would_run()
    # Both shards; chains share the superpixels.
    assert (planned["felzenszwalb_segments"], planned["given_segments"]) == (2, 2)
    assert planned["segments"] == 6 and planned.keys() & {"vanilla", "cam", "threshold"} == set()
    jobs = jobs_of(copy)
    assert leaks(jobs) == set() and undeclared(jobs, copy) == set()

    copy.make("results/leaderboard.csv")
    board = pd.read_csv(copy.folder / "results/leaderboard.csv").set_index("experiment")
    assert board["supervision"].to_dict() == {
        "digits/vanilla/cam/threshold/superpixels": "tags",
        "digits/vanilla/cam/threshold/halves": "tags + segments",
        "digits/vanilla/cam/crf/superpixels/net": "tags",
    }
    assert board["mask_iou"].notna().all()

    # A file of another size: a line names it and says what to do.
    wrong = folder / f"{images[3]}.png"
    Image.new("L", (16, 32)).save(wrong)
    done = copy.snakemake("--forcerun", "given_segments", "--", "results/leaderboard.csv")
    assert done.returncode != 0
    said = f"{wrong.relative_to(copy.folder)}: 16 × 32 pixels, but its image has 32 × 32; resize"
    assert said in done.stderr
