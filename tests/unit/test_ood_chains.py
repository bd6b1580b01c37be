"""W-OoD in a config: what its artifacts are made from, and what is refused."""

import copy
from types import SimpleNamespace

import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.project import parse_config
from tags2masks.errors import UserError
from tags2masks.stages import STAGES
from tags2masks.workflow.artifacts import all_artifacts
from tags2masks.workflow.building import build_experiments
from tags2masks.workflow.catalog import Catalog
from tags2masks.workflow.plan import Plan

CONFIG = {
    "datasets": {"digits": {"kind": "digits"}, "mnist": {"kind": "mnist", "root": "mnist"}},
    "classifiers": {
        "vanilla": {"method": "vanilla"},
        "wood": {"method": "wood", "keep": "keep.csv"},
    },
    "maps": {"cam": {"method": "cam"}, "advcam": {"method": "advcam"}, "rib": {"method": "rib"}},
    "evaluation": {"background_score": 0.3},
    "experiments": ["digits / wood / cam"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, with a folder of images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool").mkdir()
    return tmp_path


def changed(wood=None, **changes):
    """The config with other options of wood, and other entries."""
    config = copy.deepcopy(CONFIG) | {
        "experiments": changes.pop("experiments", ["digits/wood/cam"])
    }
    config["classifiers"]["wood"] |= wood or {}
    for section, entries in changes.items():
        config[section] |= entries
    return config


def made(config):
    """The artifacts of the one experiment, by stage, and all that they are made from."""
    (experiment,) = build_experiments(parse_config(config))
    return experiment.artifacts, all_artifacts([experiment])


def test_the_candidates_are_ranked_by_the_ordinary_classifier_before():
    artifacts, everything = made(CONFIG)
    wood, ood, ordinary = artifacts["classifier"], artifacts["ood"], None
    assert wood.upstream.keys() == {"classifier", "ood"} and wood.upstream["ood"] == ood
    ordinary = wood.upstream["classifier"]
    assert ordinary.method == "vanilla" and ood.upstream == {"classifier": ordinary}
    assert ood.folder == f"results/digits/ood/{ood.id}" and ood.method == "ranked"
    assert artifacts["maps"].upstream == {"classifier": wood}
    assert {stage for _, stage, _ in everything} == {"classifier", "ood", "maps"}
    assert "ood" not in wood.recipe["spec"] and "ordinary" not in wood.recipe["spec"]
    for artifact, learned in (
        (ordinary, ("tags",)),
        (ood, ("tags", "ood")),
        (wood, ("tags", "ood")),
    ):
        assert artifact.supervision == learned


@pytest.mark.parametrize("maps", ["advcam", "rib"])
def test_other_maps_are_made_of_it_by_plain_chaining(maps):
    artifacts, _ = made(changed(experiments=[f"digits / wood / {maps}"]))
    assert artifacts["maps"].upstream["classifier"].method == "wood"


def test_a_persons_answers_are_in_the_id_and_rank_nothing_again(folder):
    before = made(CONFIG)[0]
    (folder / "keep.csv").write_text("image,keep\na,yes\nb,\n")
    after = made(CONFIG)[0]
    assert after["ood"].id == before["ood"].id
    assert after["classifier"].id != before["classifier"].id
    assert after["maps"].id != before["maps"].id
    (folder / "answers.csv").write_text("keep,image\nno,b\nyes,a\n")
    assert made(changed({"keep": "answers.csv"}))[0]["classifier"].id == after["classifier"].id
    (folder / "keep.csv").write_text("image,keep\na,yes\nb,yes\n")
    assert made(CONFIG)[0]["classifier"].id not in (before["classifier"].id, after["classifier"].id)
    unpruned = made(changed({"keep": "all"}))[0]
    assert unpruned["ood"].id == before["ood"].id and "tables" not in unpruned["classifier"].recipe


def test_mistakes_in_the_table_stop_the_run_before_anything_is_made(folder):
    (folder / "keep.csv").write_text("image,keep\na,perhaps\n")
    with pytest.raises(UserError, match=r"^keep\.csv, line 2: keep is 'perhaps'; write yes"):
        made(CONFIG)
    (folder / "keep.csv").unlink()
    (folder / "keep.csv").mkdir()
    with pytest.raises(UserError, match=r"^keep\.csv: cannot be read \(a folder, where a file"):
        made(CONFIG)


def test_ranking_options_are_of_the_ranking_and_other_ones_are_not():
    first = made(CONFIG)[0]
    again = made(changed({"ood": {"min_score": 0.6}}))[0]
    assert again["ood"].id != first["ood"].id and again["classifier"].id != first["classifier"].id
    again = made(changed({"ood": {"thumbnail": 64}}))[0]
    assert again["classifier"].id == first["classifier"].id
    again = made(changed({"clusters": 20}))[0]
    assert again["ood"].id == first["ood"].id and again["classifier"].id != first["classifier"].id


POOL = {"pool": {"kind": "untagged", "images": "pool"}}


def test_candidates_of_another_data_set():
    own = made(CONFIG)[0]["ood"]
    other = made(changed({"ood": {"candidates": "pool"}}, datasets=POOL))[0]["ood"]
    assert other.id != own.id and "candidates" not in own.recipe
    assert other.recipe["candidates"]["kind"] == "untagged"
    alpha = {"pool": POOL["pool"] | {"alpha": "ignore"}}
    read = made(changed({"ood": {"candidates": "pool"}}, datasets=alpha))[0]["ood"]
    assert read.id != other.id
    second = {"second": {"kind": "untagged", "images": "elsewhere"}}
    assert (
        made(changed({"ood": {"candidates": "second"}}, datasets=second))[0]["ood"].id != other.id
    )


def inputs_of(config, stage):
    """The input files of a stage's artifact, and the arguments for candidates."""
    plan = Plan(config)
    (artifact,) = (a for a in plan.of_stage(stage) if "ood" in a.block.learns_from)
    wildcards = SimpleNamespace(dataset=artifact.dataset, id=artifact.id)
    return plan.inputs(STAGES[stage])(wildcards), plan.ood(STAGES[stage])(wildcards, None), artifact


@pytest.mark.parametrize(
    ("pool", "files", "root"),
    [
        (None, ["results/digits/ood.csv"], "results/digits"),
        ("pool", ["results/pool/ood.csv"], "pool"),
        ("mnist", ["results/mnist/train.csv", "results/mnist/ood.csv"], "results/mnist"),
    ],
)
def test_the_files_of_candidates(folder, pool, files, root):
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / "mnist").mkdir(exist_ok=True)
        (folder / "mnist" / f"{name}-ubyte.gz").touch()
    config = changed({"ood": {"candidates": pool}}, datasets=POOL)
    named, arguments, _ = inputs_of(config, "ood")
    assert named["candidates"] == files and arguments == f"--candidate-root {root}"
    assert {name for name, _ in named.items()} == {
        "index",
        "classes",
        "candidates",
        "model",
        "spec",
    }
    named, arguments, wood = inputs_of(config, "classifier")
    assert named["candidates"] == files
    assert arguments == f"--candidate-root {root} --keep keep.csv"
    assert named["ood"] == f"{wood.upstream['ood'].folder}/ranked.csv"
    plan = Plan(config)
    described = [file for file in plan.description_files if pool and f"/{pool}/" in file]
    assert len(described) == (len(files) if pool else 0)
    assert not any(
        file.startswith(("results/pool/train", "results/pool/val")) for file in described
    )


def test_no_other_method_is_given_candidates():
    plan = Plan(changed(experiments=["digits / {wood,vanilla} / cam"]))
    for artifact in plan.artifacts.values():
        stage = STAGES[artifact.stage]
        wildcards = SimpleNamespace(dataset="digits", id=artifact.id, shard="0")
        named, arguments = plan.inputs(stage)(wildcards), plan.ood(stage)(wildcards, None)
        learns = artifact.method in ("wood", "ranked")
        assert ("candidates" in named) == bool(arguments) == learns, artifact.id


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            changed({"ood": {"candidates": "pol"}}, datasets=POOL),
            "classifiers.wood.ood.candidates: no entry 'pol' in datasets; did you mean 'pool'? "
            "choose from mnist, pool, or leave it out for the images of split ood of digits",
        ),
        (
            changed({"ood": {"candidates": "digits"}}),
            "classifiers.wood.ood.candidates: the experiment's own; choose from mnist, or leave",
        ),
        (
            changed({"backbone": {"name": "resnet101"}}),
            "classifiers.wood.ordinary: the backbone resnet101 is not the classifier's resnet50; "
            "use the same name and args in both",
        ),
        (
            changed({"ordinary": "vanila"}),
            "classifiers.wood.ordinary: no entry 'vanila' in classifiers; did you mean 'vanilla'?",
        ),
        (
            changed(
                classifiers={"oc": {"method": "occse", "ordinary": "wood"}},
                experiments=["digits / oc"],
            ),
            "classifiers.oc.ordinary: wood is of method wood, whose candidates are not ranked for "
            "an ordinary classifier; name one that learns from tags alone",
        ),
        (
            changed(datasets=POOL, experiments=["pool / vanilla"]),
            "datasets.pool: of kind untagged, which has no tags to learn from; name it as "
            "ood.candidates of a classifier of method wood",
        ),
    ],
)
def test_what_does_not_fit_is_refused(config, said):
    with pytest.raises(ConfigError) as error:
        build_experiments(parse_config(config))
    assert str(error.value).startswith(said)


def test_the_person_must_be_named_or_left_out():
    config = copy.deepcopy(CONFIG)
    del config["classifiers"]["wood"]["keep"]
    with pytest.raises(ConfigError, match=r"^classifiers\.wood\.keep: missing; add it$"):
        parse_config(config)


def test_files_of_candidates_are_looked_for_early(folder):
    names = {"pool": POOL["pool"] | {"names": "names.txt"}}
    with pytest.raises(ConfigError, match=r"^datasets\.pool: names\.txt does not exist"):
        Catalog(changed({"ood": {"candidates": "pool"}}, datasets=names))
    braces = {"pool": {"kind": "untagged", "images": "po{o}l"}}
    with pytest.raises(ConfigError, match=r"^datasets\.pool: po\{o\}l has braces in it"):
        Catalog(changed({"ood": {"candidates": "pool"}}, datasets=braces))


def test_new_images_in_a_folder_are_listed(folder):
    plan = Plan(changed({"ood": {"candidates": "pool"}}, datasets=POOL))
    assert plan.image_folder(SimpleNamespace(dataset="pool")) == ["pool"]
    assert plan.image_folder(SimpleNamespace(dataset="digits")) == []
