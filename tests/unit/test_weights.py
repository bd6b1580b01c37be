"""Weights from files: what fits is loaded, what does not is named, nothing is ever run."""

import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.backbones import create_backbone, load_initial_weights
from tags2masks.nets.checkpoint import load_model, read_spec, save_model
from tags2masks.provenance import RECIPE, read_provenance, write_record

REAL = Path(__file__).resolve().parents[3] / "shared/data/weights"


def load(path, **backbone):
    block = Backbone(**{"name": "resnet10t", "weights": str(path)} | backbone)
    network = create_backbone(block)
    load_initial_weights(network, block)
    return network


@pytest.fixture
def state():
    torch.manual_seed(1)
    return create_backbone(Backbone(name="resnet10t")).state_dict()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_are_loaded_and_a_foreign_head_is_left_out(tmp_path, state, suffix):
    path = tmp_path / f"net{suffix}"
    full = state | {"fc.weight": torch.zeros(10, 512)}
    save_file(full, path) if suffix == ".safetensors" else torch.save({"state_dict": full}, path)
    loaded = load(path).state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_what_does_not_fit_is_named(tmp_path, state):
    path = tmp_path / "net.safetensors"
    with pytest.raises(UserError, match=r"net\.safetensors: no such weights file"):
        load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a readable weights file"):
        load(path)
    save_file({k: v for k, v in state.items() if k != "conv1.0.weight"}, path)
    with pytest.raises(UserError, match=r"has no 'conv1\.0\.weight'; .* another network"):
        load(path)
    save_file(state | {"conv1.0.weight": torch.zeros(1, 2, 3, 3)}, path)
    with pytest.raises(UserError, match=r"'conv1\.0\.weight' is \[1, 2, 3, 3\], the network needs"):
        load(path)


def test_text_and_unreadable_files_are_no_weights(tmp_path, monkeypatch):
    path = tmp_path / "net.pth"
    for text in ("hello\n", ""):
        path.write_text(text)
        with pytest.raises(UserError, match=r"net\.pth: not a readable weights file \(no file of"):
            load(path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=r"net\.pth: not a readable .* Permission denied"):
        load(path)


def test_sparse_and_quantised_tensors_are_refused_by_name(tmp_path, state):
    path, name = tmp_path / "net.pth", "conv1.0.weight"
    for odd in (
        state[name].to_sparse(),
        torch.quantize_per_tensor(state[name], 0.1, 0, torch.qint8),
    ):
        torch.save(state | {name: odd}, path)
        with pytest.raises(UserError, match=r"'conv1\.0\.weight' is sparse or quantised; save"):
            load(path)


def test_tensors_without_names_or_values_are_refused(tmp_path, state):
    path, name = tmp_path / "net.pth", "conv1.0.weight"
    torch.save(state | {1: state[name]}, path)
    with pytest.raises(UserError, match=r"net\.pth: holds no state dict; save model\.state_dict"):
        load(path)
    torch.save(state | {name: state[name].to("meta")}, path)
    with pytest.raises(UserError, match=r"net\.pth: 'conv1\.0\.weight' has no values \(device me"):
        load(path)


@pytest.mark.parametrize("text", ["[]", "{}", "3", '{"recipe": []}', '{"id": "a", "recipe": {}}'])
def test_a_spec_that_says_nothing_is_named(tmp_path, text):
    (tmp_path / "spec.json").write_text(text)
    for read in (lambda: read_spec(tmp_path / "spec.json"), lambda: read_provenance(tmp_path)):
        with pytest.raises(UserError, match=r"spec\.json: does not say what it was made from; del"):
            read()


def test_a_spec_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "spec.json"
    said = {
        "id": "vanilla-0",
        "recipe": dict.fromkeys(RECIPE, "x"),
        "classes": ["cat"],
        "epochs": 5,
    }
    write_record(path, said)
    assert read_spec(path) == read_provenance(tmp_path) == said
    path.write_text(path.read_text().replace('"epochs": 5', '"epochs": 7'))
    for read in (lambda: read_spec(path), lambda: read_provenance(tmp_path)):
        with pytest.raises(
            UserError, match=r"spec\.json: damaged: not what was written; delete it"
        ):
            read()


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("evil-was-here"),))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("plain.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"a": Evil()}, "torch.pth")
    for name in ("plain.pth", "torch.pth"):
        with pytest.raises(UserError, match=r"could run code, which is refused|not a readable"):
            load(name)
    assert not Path("evil-was-here").exists()


def test_models_are_saved_as_the_same_bytes(tmp_path, state):
    network = create_backbone(Backbone(name="resnet10t"))
    network.load_state_dict(state)
    save_model(network, tmp_path / "a.safetensors")
    save_model(network.to(memory_format=torch.channels_last), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again = load_model(create_backbone(Backbone(name="resnet10t")), tmp_path / "a.safetensors")
    assert not again.training
    assert all(torch.equal(again.state_dict()[name], state[name]) for name in state)


def test_a_changed_weight_is_refused(tmp_path, state):
    network = create_backbone(Backbone(name="resnet10t"))
    path = tmp_path / "model.safetensors"
    save_model(network, path)
    written = path.read_bytes()
    path.write_bytes(written[:-5] + bytes([written[-5] ^ 1]) + written[-4:])
    said = r"^\S*model\.safetensors: damaged: not what was written; delete it and run again"
    with pytest.raises(UserError, match=said):
        load_model(network, path)
    save_file(state, path)  # of others no digest is known
    load_model(network, path)


def test_an_unreachable_hub_is_told(monkeypatch):
    def refuse(*args, pretrained=False, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr("tags2masks.nets.backbones.timm.create_model", refuse)
    block = Backbone(name="resnet10t", weights="pretrained")
    with pytest.raises(UserError, match=r"timm's hub gave no weights for resnet10t \(no route\)"):
        load_initial_weights(torch.nn.Identity(), block)


def test_weights_of_a_whole_network_fit_its_encoder(tmp_path):
    """As an encoder, timm's `stages.0.` is called `stages_0.`."""
    whole = timm.create_model("test_convnext")
    encoder = timm.create_model("test_convnext", features_only=True)
    torch.save(whole.state_dict(), tmp_path / "a.pth")
    block = Backbone(name="test_convnext", weights=str(tmp_path / "a.pth"))
    load_initial_weights(encoder, block)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = whole.eval().forward_features(images)
        torch.testing.assert_close(encoder.eval()(images)[-1], expected)


@pytest.mark.real
def test_the_mobilenet_of_the_shared_data_fits():
    path = REAL / "mobilenetv2_100.imagenet1k.safetensors"
    if not path.exists():
        pytest.skip("needs ../shared/data/weights beside the checkout")
    network = load(path, name="mobilenetv2_100", args={"pad_type": "same"}, output_stride=16)
    with torch.no_grad():
        features = network.eval().forward_features(torch.rand(1, 3, 64, 64))
    assert features.shape == (1, 1280, 4, 4)
