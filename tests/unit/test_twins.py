"""Entries that would be one artifact though they read or say different things; parts of images."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tags2masks.config.base import ConfigError
from tags2masks.workflow import started
from tags2masks.workflow.plan import Plan

BASE = {
    "datasets": {"digits": {"kind": "digits", "labelled": 4}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}, "few": {"method": "cam", "images": 10}},
    "masks": {
        "threshold": {"method": "threshold", "background_score": 0.3},
        "higher": {"method": "threshold", "background_score": 0.5},
        "full": {"method": "full"},
    },
    "evaluation": {"background_score": 0.3},
}


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """Work in a folder with two folders, and two files, of one name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(started.VARIABLE, "{}")
    for name in ("one", "two"):
        Path(name, "cams").mkdir(parents=True)
        Path(name, "model.safetensors").write_bytes(b"")
    yield
    started.begin(is_main=True)


def planned(experiments, **sections):
    started.begin(is_main=True)
    raw = BASE | {"experiments": experiments}
    return Plan(raw | {name: BASE.get(name, {}) | more for name, more in sections.items()})


def test_two_folders_of_one_name():
    maps = {n: {"method": "given", "folder": f"{n}/cams"} for n in ("one", "two")}
    with pytest.raises(
        ConfigError, match=r"maps given-\w+: (one|two)/cams and (one|two)/cams would"
    ):
        planned(["digits / {one,two}"], maps=maps)
    assert len(planned(["digits / one"], maps=maps).of_stage("maps")) == 1
    maps["two"]["folder"] = "one/cams"
    assert len(planned(["digits / {one,two}"], maps=maps).of_stage("maps")) == 1


def test_two_files_of_weights_of_one_name():
    backbones = {n: {"weights": f"{n}/model.safetensors"} for n in ("one", "two")}
    classifiers = {n: {"method": "vanilla", "backbone": b} for n, b in backbones.items()}
    with pytest.raises(ConfigError, match="only the last part of a path is in its id; rename one"):
        planned(["digits / {one,two} / cam"], classifiers=classifiers)
    # Where nothing is trained from them, they do not matter.
    assert planned(["digits / one / cam"], classifiers=classifiers)


def test_two_scores_of_objects():
    objectness = {
        name: {"method": "given", "folder": "one/cams", "score": score}
        for name, score in (("low", 0.3), ("high", 0.5))
    }
    masks = {
        name: {"method": "saliency_cut", "saliency": name, "background": "cut"}
        for name in objectness
    }
    with pytest.raises(ConfigError, match=r"objectness given-.*: two entries differ in nothing"):
        planned(["digits / vanilla / cam / {low,high}"], objectness=objectness, masks=masks)


def test_what_differs_in_batches_alone_is_one():
    masks = {f"irn{n}": {"method": "confident", "batch_size": n} for n in (2, 3)}
    plan = planned(["digits / vanilla / cam / {irn2,irn3}"], masks=masks)
    assert len({a.id for e in plan.experiments for _, a in e.products if a.stage == "masks"}) == 1


@pytest.mark.parametrize(
    ("chain", "masks", "said"),
    [
        ("voted", {"voted": {"method": "vote", "of": ["full", "vanilla/cam/higher"]}}, "vote"),
        ("full / parts", {"parts": {"method": "segments"}}, "segments"),
    ],
)
def test_masks_of_some_images_make_none_of_all(chain, masks, said):
    with pytest.raises(ConfigError, match=f"{said} reads masks of all images, and full has those"):
        planned([f"digits / {chain}"], masks=masks)
    everything = {"digits": BASE["datasets"]["digits"] | {"labelled": "all"}}
    assert planned([f"digits / {chain}"], masks=masks, datasets=everything)


def test_maps_of_some_images_make_none_of_all():
    mean = {"method": "mean", "of": ["vanilla/few", "vanilla/few"]}
    with pytest.raises(ConfigError, match=r"maps.both: mean reads maps that are made of 10 images"):
        planned(["digits / vanilla / both"], maps={"both": mean})
    assert planned(["digits / vanilla / both"], maps={"both": mean | {"images": 10}})


def test_every_artifact_has_a_place_for_its_lineage():
    few = {"method": "threshold", "background_score": {"method": "few_masks"}}
    plan = planned(
        ["digits / vanilla / cam / few"],
        masks={"few": few},
        evaluation={"background_score": "auto"},
    )
    known = {tuple(one) for one in json.loads(plan.outline)["artifacts"]}
    assert known == set(plan.artifacts) and len(known) == 5  # two scores
    assert {stage for _, stage, _ in known} == {"classifier", "maps", "score", "masks"}


def test_masks_of_a_named_chain_alone_have_a_sheet():
    voted = {"method": "vote", "of": ["vanilla/cam/threshold", "vanilla/cam/higher"]}
    plan = planned(["digits / voted"], masks={"voted": voted})
    masks = {a.id: plan.sheet_title(SimpleNamespace(dataset="digits", id=a.id)) for a in
             plan.of_stage("masks")}  # fmt: skip
    (mine,) = (id for id in masks if id.startswith("vote-"))
    assert masks.pop(mine) == "digits/voted"
    assert len(masks) == 2 and all(title == id for id, title in masks.items())


def test_maps_measured_at_a_score_of_few_masks_leave_their_images_out():
    few = {"background_score": {"method": "few_masks"}}
    plan = planned(["digits / vanilla / cam / threshold"], evaluation=few)
    (maps,) = plan.of_stage("maps")
    asked = SimpleNamespace(dataset="digits", id=maps.id, stage="maps")
    assert plan.left_out("maps")(asked) == ["results/digits/labelled.csv"]
    (about,) = json.loads(plan.outline)["experiments"]
    assert about["supervision"] == ["tags", "masks"]
    fixed = planned(["digits / vanilla / cam / threshold"])
    assert fixed.left_out("maps")(asked) == []
    assert json.loads(fixed.outline)["experiments"][0]["supervision"] == ["tags"]


def test_a_seed_is_named_once():
    with pytest.raises(ConfigError, match=r"seeds: .*0 is there twice; name each seed once"):
        Plan(BASE | {"experiments": ["digits / vanilla"], "seeds": [0, 1, 0]})


@pytest.mark.parametrize("name", ["a;b", " cat", "cat\n", ""])
def test_a_class_that_cannot_be_a_tag(name):
    with pytest.raises(ConfigError, match="cannot be a tag"):
        Plan(BASE | {"experiments": ["v"], "datasets": {"v": {"kind": "voc", "root": "r",
             "names": [name]}}})  # fmt: skip
