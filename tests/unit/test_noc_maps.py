"""Maps of the not-so-ordinary classifier, which P-NOC trains beside its own."""

import json
from types import SimpleNamespace

import pytest
import torch

from tags2masks.config.base import ConfigError
from tags2masks.config.classifiers import METHODS
from tags2masks.config.maps import Cam
from tags2masks.errors import UserError
from tags2masks.maps import cam
from tags2masks.maps.batch import plain_batch
from tags2masks.nets.checkpoint import save_model
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.trained import load_classifier
from tags2masks.provenance import provenance
from tags2masks.stages import STAGES
from tags2masks.workflow.ids import artifact_id
from tags2masks.workflow.plan import Plan
from tests.unit.learning import CONVNET, TINY

RAW = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {
        "vanilla": {"method": "vanilla"},
        "pnoc": {"method": "pnoc"},
    },
    "maps": {"cam": {"method": "cam"}, "noc": {"method": "cam", "network": "noc"}},
    "experiments": ["digits / pnoc / {noc,cam}"],
}


def written(folder, method, backbone, upstream):
    """A spec.json of a classifier of two classes, and its id."""
    spec = METHODS[method](backbone=backbone).key()
    spec.pop("ordinary", None)
    recipe = {"stage": "classifier", "method": method, "spec": spec, "upstream": upstream}
    (folder / f"{method}.json").write_text(json.dumps(provenance(recipe) | {"classes": ["a", "b"]}))
    return artifact_id(recipe)


def test_the_map_is_by_the_second_networks_weights(tmp_path):
    # The two have different backbones, so that one cannot be taken for the other.
    ordinary = written(tmp_path, "vanilla", CONVNET, {})
    pnoc = written(tmp_path, "pnoc", TINY, {"classifier": ordinary})
    torch.manual_seed(0)
    noc = Classifier(CONVNET, 2).eval()
    save_model(noc, tmp_path / "noc.safetensors")
    files = (tmp_path / "noc.safetensors", tmp_path / "pnoc.json", {"classifier": pnoc})
    network, classes = load_classifier(*files, tmp_path / "vanilla.json")
    assert classes == ["a", "b"] and not any(p.requires_grad for p in network.parameters())
    images = torch.rand(1, 3, 8, 8)
    spec = Cam(network="noc", scales=(1.0,), flip=False, stride=1)
    with torch.no_grad():
        maps = cam.localize(network, plain_batch(images, 2), spec)
        scores = noc.score_maps(noc.features(images)).relu()
    torch.testing.assert_close(maps, scores / (scores.amax((-2, -1), keepdim=True) + 1e-5))
    with pytest.raises(UserError, match=r"noc\.safetensors"):
        load_classifier(*files)  # these are no weights of the network of P-NOC itself
    other = written(tmp_path, "vanilla", TINY, {})
    with pytest.raises(UserError, match=rf"vanilla\.json: of {other}, expected {ordinary}"):
        load_classifier(*files, tmp_path / "vanilla.json")


def test_the_job_gets_the_second_networks_files():
    plan = Plan(RAW)
    noc, own = plan.of_stage("maps")
    pnoc = noc.upstream["classifier"]
    inputs = [
        plan.inputs(STAGES["maps"])(SimpleNamespace(dataset="digits", id=a.id, shard="0"))
        for a in (noc, own)
    ]
    ordinary = pnoc.upstream["classifier"]
    assert inputs[0]["model"] == f"{pnoc.folder}/noc.safetensors"
    assert inputs[0]["spec"] == inputs[1]["spec"] == f"{pnoc.folder}/spec.json"
    assert inputs[0]["ordinary"] == f"{ordinary.folder}/spec.json"
    assert inputs[1]["model"] == f"{pnoc.folder}/model.safetensors" and "ordinary" not in inputs[1]


def test_its_maps_have_no_epochs_and_define_no_regions():
    states = {name: block | {"keep_states": True} for name, block in RAW["classifiers"].items()}
    plan = Plan(RAW | {"classifiers": states, "evaluation": {"epoch_images": 5}})
    _, own = plan.of_stage("maps")
    assert plan.epoch_tables == [f"{own.folder}/epochs.csv"]
    assert {cam.id for cam in plan.cams.values()} == {own.id}


def test_some_maps_are_measured_after_each_epoch():
    raw = {
        "datasets": {"digits": {"kind": "digits"}},
        "classifiers": {"c": {"method": "vanilla", "keep_states": True}},
        "maps": {"cam": {"method": "cam", "scales": [1]}, "tta": {"method": "cam"}},
        "experiments": ["digits / c / {cam,tta}"],
        "evaluation": {"epoch_images": 5},
    }
    cam, tta = Plan(raw).of_stage("maps")
    assert Plan(raw).epoch_tables == [f"{each.folder}/epochs.csv" for each in (cam, tta)]
    raw["evaluation"]["epoch_maps"] = ["cam"]
    assert Plan(raw).epoch_tables == [f"{cam.folder}/epochs.csv"]
    raw["evaluation"]["epoch_maps"] = ["cam", "tda"]
    said = r"^evaluation\.epoch_maps: no experiment goes through maps\.tda; did you mean 'tta'\?"
    with pytest.raises(ConfigError, match=said):
        Plan(raw)


def test_ids_of_other_maps_are_as_before_and_others_have_no_second_network():
    assert "network" not in Cam().key() and Cam(network="noc").key()["network"] == "noc"
    with pytest.raises(ConfigError) as error:
        Plan(RAW | {"experiments": ["digits / vanilla / noc"]})
    assert str(error.value) == (
        "maps.noc: cam needs a classifier with noc, and classifiers.vanilla (vanilla) has none; "
        "take one of method pnoc"
    )
