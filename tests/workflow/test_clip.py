"""CLIP's maps in the workflow: no training, texts of a file, and what goes wrong with them."""

import copy as copying

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file

from tags2masks.config.training import Backbone
from tags2masks.nets.clip import create_tower
from tests.workflow.conftest import CONFIG
from tests.workflow.test_supervision import jobs_of, leaks, undeclared

pytestmark = pytest.mark.slow  # whole chains of its own

BACKBONE = {"name": "test_vit", "weights": "tower.safetensors", "args": {"num_classes": 8}}
CLIP = {
    "method": "clip",
    "backbone": BACKBONE,
    "background": ["sky", "sea"],
    "text_file": "texts.npz",
    "side": 32,
}


def write_texts(file, names, numbers=8):
    vectors = np.random.default_rng(0).normal(size=(len(names), numbers)).astype(np.float32)
    np.savez(file, names=np.array(names), embeddings=vectors)


def test_maps_without_a_training(copy):
    config = copying.deepcopy(CONFIG)
    config["classifiers"]["clip"] = CLIP
    config["maps"]["clip_es"] = {"method": "clip_es"}
    config["masks"]["chosen"] = {"method": "threshold"}
    config["experiments"] = [
        "digits / clip / clip_es / {threshold,chosen} / net",
        "digits / clip / cam",
    ]
    torch.manual_seed(0)
    tower = create_tower(Backbone(**BACKBONE))
    save_file(tower.state_dict(), copy.folder / "tower.safetensors")
    copy.configure(config)

    done = copy.snakemake("--dry-run")
    assert done.returncode != 0
    assert "text_file: texts.npz does not exist; correct its path" in done.stderr + done.stdout
    write_texts(copy.folder / "texts.npz", ["zero", "sky", "sea"])
    done = copy.snakemake()
    assert done.returncode != 0
    assert "texts.npz: has no embedding of 'one' (1 of 4 texts are missing)" in done.stderr
    write_texts(copy.folder / "texts.npz", ["zero", "one", "sky", "sea"], 7)
    done = copy.snakemake()
    assert done.returncode != 0
    said = "texts are embedded in 7 numbers, images by test_vit in 8; take the text tower"
    assert said in done.stderr

    write_texts(copy.folder / "texts.npz", ["zero", "one", "sky", "sea"])
    planned = copy.would_run()
    assert (planned["prompts_texts"], planned["clip"], planned["clip_es"]) == (1, 1, 2)
    assert planned.keys() & {"vanilla"} == set()
    jobs = jobs_of(copy)
    assert leaks(jobs) == set() and undeclared(jobs, copy) == set()
    copy.make()
    assert copy.would_run() == {}
    results = copy.folder / "results"
    board = pd.read_csv(results / "leaderboard.csv").set_index("experiment")
    assert board["supervision"].eq("tags").all() and board["seed_iou"].notna().all()
    (trained,) = results.glob("digits/classifier/clip-*/training.csv")
    table = pd.read_csv(trained)
    assert table["epoch"].tolist() == [0] and 0 <= table["val_map"].item() <= 1
    figures = pd.read_csv(trained.with_name("metrics.csv"))
    mean = figures.loc[figures["metric"] == "map", "value"].item()
    assert abs(mean - table["val_map"].item()) < 1e-5
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "Training of the classifiers" not in page and "Training of the segmenters" in page

    # Other texts: made again, with all that follows.
    write_texts(copy.folder / "texts.npz", ["one", "zero", "sky", "sea"])
    assert copy.would_run()["prompts_texts"] == 1

    # What is not trained needs weights, and is no ordinary classifier.
    config["classifiers"]["hidden"] = {"method": "occse", "ordinary": "clip"}
    config["experiments"] = ["digits / hidden"]
    copy.configure(config)
    said = "classifiers.hidden.ordinary: clip is of method clip, which is not trained on the tags"
    assert said in "".join(copy.snakemake("--dry-run").stdout + copy.snakemake("--dry-run").stderr)
    config["classifiers"]["clip"] = CLIP | {"backbone": BACKBONE | {"weights": None}}
    config["experiments"] = ["digits / clip"]
    (copy.folder / "config.yaml").write_text(yaml.safe_dump(config))
    done = copy.snakemake("--dry-run")
    said = "classifiers.clip.backbone.weights: null, but this backbone is not trained; name a file"
    assert said in done.stdout + done.stderr
