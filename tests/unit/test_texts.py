"""Embedded texts: their order, the mean over templates, files of every form, wrong files."""

import importlib.util
import json
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tags2masks.config.clip import Clip
from tags2masks.config.texts import BACKGROUND, PromptFields, Prompts
from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.backbones import load_initial_weights
from tags2masks.nets.clip import create_tower
from tags2masks.texts.prompts import averaged, embed, texts_of
from tags2masks.texts.store import read_texts, write_texts
from tags2masks.workflow.ids import artifact_id

CLASSES = ["cat", "person"]
SPEC = Prompts(words={"person": "person,people"}, background=("sky", "sea"))
NAMES = ["sea", "person,people", "cat", "sky", "unused"]
VECTORS = np.array([[0, 2.0], [3, 4], [1, 0], [0, -1], [9, 9]], np.float32)
WANTED = [[1, 0], [0.6, 0.8], [0, -1], [0, 1]]


def test_classes_come_first():
    assert texts_of(CLASSES, SPEC) == ["cat", "person,people", "sky", "sea"]
    assert len(BACKGROUND) == len(set(BACKGROUND)) == 25
    with pytest.raises(UserError, match="words: 'dog' is no class; choose from cat, person"):
        texts_of(CLASSES, Prompts(words={"dog": "dog"}))
    with pytest.raises(UserError, match="background: 'cat' is the text of a class"):
        texts_of(CLASSES, Prompts(background=("cat",)))


def test_the_mean_over_templates_by_hand():
    table = {"a cat": [3.0, 4], "the cat": [0, 2], "a dog": [5, 0], "the dog": [-1, 0.0]}
    found = averaged(
        ["cat"], ["a {}", "the {}"], lambda said: torch.tensor([table[one] for one in said])
    )
    # (0.6, 0.8) + (0, 1) = (0.6, 1.8), of length √3.6.
    np.testing.assert_allclose(found, [[0.6 / 3.6**0.5, 1.8 / 3.6**0.5]], rtol=1e-6)
    assert found.dtype == np.float32


def as_npz(folder, names=NAMES, vectors=VECTORS):
    np.savez(folder / "t.npz", names=np.array(names), embeddings=vectors)
    return folder / "t.npz"


def as_safetensors(folder, names=NAMES, vectors=VECTORS):
    save_file({"embeddings": vectors}, folder / "t.safetensors", {"names": json.dumps(names)})
    return folder / "t.safetensors"


@pytest.mark.parametrize("write", [as_npz, as_safetensors])
def test_embeddings_of_a_file(tmp_path, write):
    texts, found = embed(CLASSES, SPEC, write(tmp_path), None)
    assert texts == ["cat", "person,people", "sky", "sea"]
    np.testing.assert_allclose(found, WANTED, rtol=1e-6)
    # A text may have its class's name in the file.
    names = [name.replace("person,people", "person") for name in NAMES]
    np.testing.assert_allclose(embed(CLASSES, SPEC, write(tmp_path, names), None)[1], WANTED)


@pytest.mark.parametrize("write", [as_npz, as_safetensors])
def test_what_a_file_lacks_is_told(tmp_path, write):
    file = write(tmp_path, NAMES[1:], VECTORS[1:])
    with pytest.raises(UserError, match=r"has no embedding of 'sea' \(1 of 4 texts are missing\)"):
        embed(CLASSES, SPEC, file, None)
    for vectors in (VECTORS[:3], VECTORS[0], np.full((5, 2), np.nan, np.float32)):
        with pytest.raises(UserError, match=r"embeddings of shape .* for 5 names; save finite"):
            embed(CLASSES, SPEC, write(tmp_path, NAMES, vectors), None)


@pytest.mark.parametrize("name", ["t.npz", "t.safetensors"])
def test_damaged_files_are_told(tmp_path, name):
    with pytest.raises(UserError, match=f"{name}: not readable as names and embeddings"):
        embed(CLASSES, SPEC, tmp_path / name, None)
    for content in (b"nothing of this kind", b"PK\x03\x04 an archive that is cut off"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: not readable as names and embed") as told:
            embed(CLASSES, SPEC, tmp_path / name, None)
        assert len(str(told.value).splitlines()) == 1


def test_without_the_library_texts_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UserError, match=r"library open_clip .*'tags2masks\[clip\]'.* text_file"):
        embed(CLASSES, SPEC, None, None)


@pytest.mark.skipif(
    importlib.util.find_spec("open_clip") is None, reason="needs pip install .[clip]"
)
def test_a_text_tower_of_random_weights(tmp_path):
    import open_clip

    tower = {"width": 16, "heads": 2, "layers": 1, "vocab_size": 49408, "context_length": 77}
    seeing = {"image_size": 32, "patch_size": 16, "width": 16, "head_width": 8, "layers": 1}
    config = {"embed_dim": 8, "text_cfg": tower, "vision_cfg": seeing}
    (tmp_path / "tiny-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-clip.json")
    torch.manual_seed(0)
    model = open_clip.create_model("tiny-clip").eval()
    state = {name: of for name, of in model.state_dict().items() if "visual" not in name}
    torch.save(state, tmp_path / "text.pth")
    spec = SPEC.model_copy(update={"text_model": "tiny-clip"})
    _, found = embed(CLASSES, spec, None, tmp_path / "text.pth")
    with torch.no_grad():
        said = open_clip.get_tokenizer("tiny-clip")(["a clean origami cat."])
        wanted = model.encode_text(said)[0]
    assert found.shape == (4, 8)
    np.testing.assert_allclose(found[0], wanted / wanted.norm(), atol=1e-6)
    del state["ln_final.weight"]
    torch.save(state, tmp_path / "text.pth")
    with pytest.raises(UserError, match=r"text\.pth: has no 'ln_final\.weight'"):
        embed(CLASSES, spec, None, tmp_path / "text.pth")
    unknown = SPEC.model_copy(update={"text_model": "huge-clip"})
    with pytest.raises(UserError, match="text_model: open_clip has no 'huge-clip'"):
        embed(CLASSES, unknown, None, None)


def test_texts_come_back_as_they_were(tmp_path):
    recipe = {"stage": "texts", "method": "prompts", "spec": {}, "upstream": {}}
    vectors = np.random.default_rng(0).random((3, 5)).astype(np.float32)
    write_texts(tmp_path / "texts.json", recipe, ["a", "b", "c"], vectors)
    found = read_texts(tmp_path / "texts.json", artifact_id(recipe), 3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, vectors)
    with pytest.raises(UserError, match="has no embeddings of 4 texts"):
        read_texts(tmp_path / "texts.json", artifact_id(recipe), 4)
    with pytest.raises(UserError, match="expected prompts-00000000"):
        read_texts(tmp_path / "texts.json", "prompts-00000000", 3)


def test_what_is_in_the_id():
    default = Prompts()
    assert default.files() == {} and default.key()["text_weights"] == "openai"
    given = Prompts(text_file="a/b/t.npz", templates=("a {}",), text_model="x")
    assert given.files() == {"text_file": "a/b/t.npz"}
    assert given.key() == {
        "method": "prompts", "words": {}, "background": list(BACKGROUND), "text_file": "t.npz",
    }  # fmt: skip
    tower = Prompts(text_weights="a/b/w.pth")
    assert tower.files() == {"text_weights": "a/b/w.pth"}
    assert tower.key()["text_weights"] == "w.pth"
    block = Clip(words={"cat": "a cat"}, text_file="t.npz")
    assert block.texts == Prompts(words={"cat": "a cat"}, text_file="t.npz")
    assert set(block.key()) & set(PromptFields.model_fields) == {"background"}
    assert block.key()["texts"] == block.texts.key()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"templates": ("a photo",)}, "needs one {} for the text"),
        ({"templates": ("{} {name}",)}, "needs one {} for the text"),
        ({"background": ("sky", "sky")}, "'sky' is there twice"),
        ({"words": {"cat": ""}}, "at least 1 character"),
        ({"backbone": {"name": "resnet50"}}, "resnet50 is no vision transformer"),
        ({"backbone": {"freeze": True}}, "nothing of clip is trained"),
    ],
)
def test_wrong_values_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        Clip(**values)


@pytest.mark.skipif(
    importlib.util.find_spec("open_clip") is None, reason="needs pip install .[clip]"
)
def test_the_image_tower_reads_openais_names(tmp_path):
    import open_clip

    seeing = {"image_size": 32, "patch_size": 16, "width": 16, "head_width": 8, "layers": 4}
    tower = {"width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 8, "quick_gelu": True, "vision_cfg": seeing, "text_cfg": tower}
    (tmp_path / "seeing-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "seeing-clip.json")
    torch.manual_seed(0)
    model = open_clip.create_model("seeing-clip").eval()
    torch.save(model.state_dict(), tmp_path / "clip.pth")
    args = {"img_size": 32, "embed_dim": 16, "depth": 4, "num_heads": 2, "num_classes": 8}
    backbone = Backbone(
        name="vit_base_patch16_clip_quickgelu_224.openai",
        weights=str(tmp_path / "clip.pth"),
        args=args,
    )
    ours = create_tower(backbone)
    load_initial_weights(ours, backbone)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), model.encode_image(images))
