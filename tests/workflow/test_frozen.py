"""A head on a frozen vision transformer's stored features, its maps, and a segmenter on one too."""

import copy as copying

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from tags2masks.config.training import Backbone
from tags2masks.nets.backbones import create_backbone
from tests.workflow.conftest import CONFIG, VIEWS
from tests.workflow.test_supervision import jobs_of, leaks, undeclared

pytestmark = pytest.mark.slow

VIT = {"name": "test_vit", "weights": "weights/vit.safetensors"}


def test_features_are_stored_once_and_a_head_learns_from_them(copy):
    torch.manual_seed(0)
    backbone = create_backbone(Backbone(name="test_vit")).state_dict()
    weights = copy.folder / VIT["weights"]
    weights.parent.mkdir()
    save_file(backbone, weights)
    config = copying.deepcopy(CONFIG)
    config["classifiers"]["head"] = CONFIG["classifiers"]["vanilla"] | {
        "backbone": VIT | {"freeze": True}
    }
    config["segmenters"]["dpt"] = {
        "method": "dpt",
        "backbone": VIT,
        "augment": VIEWS,
        "epochs": 1,
        "batch_size": 8,
        "decoder_channels": 8,
    }
    config["experiments"] = ["digits / head / cam / threshold / dpt"]
    copy.configure(config)
    planned = copy.would_run()
    assert planned["pooled_features"] == 2 and planned["vanilla"] == planned["dpt"] == 1
    jobs = jobs_of(copy)
    assert leaks(jobs) == set() and undeclared(jobs, copy) == set()

    printed = copy.make()
    assert "features of 8 images:" in printed and "MB on disk" in printed
    assert copy.would_run() == {}
    results = copy.folder / "results"
    (model,) = [
        path
        for path in results.glob("digits/classifier/*/model.safetensors")
        if "features" in (path.with_name("spec.json")).read_text(encoding="utf-8")
    ]
    learned = load_file(model)
    assert all(torch.equal(learned[f"backbone.{name}"], w) for name, w in backbone.items())
    rows = pd.read_csv(model.with_name("training.csv"))
    assert rows["loss"].iloc[-1] != rows["loss"].iloc[0] and rows["val_map"].notna().all()
    board = pd.read_csv(results / "leaderboard.csv")
    assert board["experiment"].tolist() == ["digits/head/cam/threshold/dpt"]
    assert board["supervision"].tolist() == ["tags"]

    # Other epochs are another head on the same features; other weights are other features.
    config["classifiers"]["head"]["epochs"] = 3
    copy.configure(config)
    assert "pooled_features" not in copy.would_run() and copy.would_run()["vanilla"] == 1
    backbone["cls_token"] = backbone["cls_token"] + 1
    save_file(backbone, weights)
    assert copy.would_run()["pooled_features"] == 2
