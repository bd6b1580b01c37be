"""Fields of entries that name other chains."""

from types import SimpleNamespace
from typing import ClassVar, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from tags2masks.config.base import ConfigError
from tags2masks.config.chains import ChainPath, chain_ending_in
from tags2masks.config.masks import Masks
from tags2masks.config.project import parse_config
from tags2masks.provenance import RECORDS, lineage, provenance, write_record
from tags2masks.stages import STAGES, unnumbered
from tags2masks.workflow.artifacts import all_artifacts
from tags2masks.workflow.building import build_experiments
from tags2masks.workflow.ids import artifact_id
from tags2masks.workflow.plan import Plan


class Round(Masks):
    """Masks that are made with a segmenter of another chain."""

    takes: ClassVar[tuple[str, ...]] = ("dataset",)

    method: Literal["round"] = "round"
    of: ChainPath = chain_ending_in("segmenter")


class Several(Masks):
    """Masks that are made of others."""

    takes: ClassVar[tuple[str, ...]] = ("dataset",)

    method: Literal["several"] = "several"
    of: tuple[ChainPath, ...] = chain_ending_in("masks", min_length=2)


WHOLE = {"digits": {"kind": "digits", "labelled": "all"}}


def experiments_with(masks, experiments, **changed):
    """The experiments of a config with these further entries of masks."""
    config = parse_config(
        {
            "datasets": {"digits": {"kind": "digits", "labelled": 2}},
            "classifiers": {"vanilla": {"method": "vanilla"}},
            "maps": {"cam": {"method": "cam"}},
            "masks": {
                "plain": {"method": "threshold", "background_score": 0.3},
                "few": {"method": "full"},
            },
            "evaluation": {"background_score": 0.3},
            "segmenters": {"net": {"method": "deeplabv3plus"}},
            "experiments": ["digits / vanilla / cam / plain"],
        }
        | changed
    )
    update = {"masks": {**config.masks, **masks}, "experiments": tuple(experiments)}
    return build_experiments(config.model_copy(update=update))


def test_a_named_chain_is_made_with_the_ids_that_it_has_as_an_experiment():
    listed, named = experiments_with(
        {"round1": Round(of="vanilla / cam / plain / net")},
        ["digits/vanilla/cam/plain/net", "digits/round1"],
    )
    masks = named.artifacts["masks"]
    assert masks.upstream == {"segmenter": listed.artifacts["segmenter"]}
    assert masks.recipe["upstream"] == {"segmenter": listed.artifacts["segmenter"].id}
    assert "of" not in masks.recipe["spec"]
    (alone,) = experiments_with({"round1": Round(of="vanilla/cam/plain/net")}, ["digits/round1"])
    made = {stage for _, stage, _ in all_artifacts([alone])}
    assert made == {"classifier", "maps", "masks", "segmenter"}
    assert alone.artifacts["masks"].id == masks.id


def test_the_role_of_one_of_several_is_its_stage():
    assert [unnumbered(role) for role in ("maps", "maps_2", "masks_10")] == [
        "maps",
        "maps",
        "masks",
    ]


def test_seeds_are_the_experiments_own():
    first, second = experiments_with(
        {"round1": Round(of="vanilla/cam/plain/net")}, ["digits/round1"], seeds=[3, 5]
    )
    for experiment, seed in ((first, 3), (second, 5)):
        assert experiment.artifacts["masks"].upstream["segmenter"].recipe["seed"] == seed


def test_a_list_gives_numbered_roles_and_supervision_is_the_union():
    (one,) = experiments_with(
        {"both": Several(of=("vanilla/cam/plain", "few"))},
        ["digits/both"],
        datasets=WHOLE,
    )
    masks = one.artifacts["masks"]
    assert {role: a.method for role, a in masks.upstream.items()} == {
        "masks_1": "threshold",
        "masks_2": "full",
    }
    assert masks.supervision == ("tags", "masks")


def test_maps_of_a_named_chain_are_measured_at_a_score_as_those_of_experiments():
    experiments = experiments_with(
        {"round1": Round(of="vanilla/cam/plain/net"), "round2": Round(of="round1/net")},
        ["digits/round2"],
        evaluation={},
    )
    made = all_artifacts(experiments).values()
    (score,) = (artifact for artifact in made if artifact.stage == "score")
    (maps,) = (artifact for artifact in made if artifact.stage == "maps")
    assert score.upstream["maps"] == maps


def test_rounds_name_each_other():
    (last,) = experiments_with(
        {"round1": Round(of="vanilla/cam/plain/net"), "round2": Round(of="round1/net")},
        ["digits/round2/net"],
    )
    second = last.artifacts["masks"]
    first = second.upstream["segmenter"].upstream["masks"]
    assert (second.method, first.method) == ("round", "round")
    assert first.upstream["segmenter"].upstream["masks"].method == "threshold"


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ("vanilla/cam", r"masks.round1.of: 'vanilla/cam' ends in .*maps.*; end it in .*segment"),
        ("digits/few/net", "'digits/few/net' begins with a data set; leave it out"),
        ("vanila/cam/plain/net", "masks.round1.of: .*did you mean 'vanilla'"),
        ("round1/net", "masks.round1.of: 'round1/net' goes through masks.round1, which is itself"),
    ],
)
def test_a_chain_that_does_not_fit_is_an_error_with_its_key(of, message):
    with pytest.raises(ConfigError, match=message):
        experiments_with({"round1": Round(of=of)}, ["digits/round1"])


def test_rounds_in_a_circle_are_an_error():
    masks = {"round1": Round(of="round2/net"), "round2": Round(of="round1/net")}
    with pytest.raises(
        ConfigError, match=r"masks.round2.of: 'round1/net' goes through masks.round1"
    ):
        experiments_with(masks, ["digits/round1"])


def test_a_chain_through_a_swept_entry_is_an_error():
    sweep = [{"entry": "masks.plain", "field": "background_score", "values": [0.2, 0.4]}]
    with pytest.raises(ConfigError, match=r"goes through masks.plain, which sweep.0 varies"):
        experiments_with(
            {"round1": Round(of="vanilla/cam/plain/net")},
            ["digits/round1", "digits/vanilla/cam/plain"],
            sweep=sweep,
        )


@pytest.mark.parametrize(
    ("path", "message"), [("a/{b,c}", "has braces"), ("a//b", "empty name"), ("", "empty name")]
)
def test_paths_that_are_none(path, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(ChainPath).validate_python(path)


def test_files_of_several_are_one_option_in_the_order_of_the_list():
    (one,) = experiments_with(
        {"both": Several(of=("few", "vanilla/cam/plain"))}, ["digits/both"], datasets=WHOLE
    )
    masks = one.artifacts["masks"]
    plan = Plan.__new__(Plan)
    plan.config = None  # of candidates, which masks have none of
    plan.get, plan.own = lambda stage, wildcards: masks, lambda wildcards: "results/digits"
    plan._split = lambda stage, wildcards: "train"
    wildcards = SimpleNamespace(dataset="digits", id=masks.id, shard="3")
    named = Plan.inputs(plan, STAGES["masks"])(wildcards)
    folders = [masks.upstream[role].folder for role in ("masks_1", "masks_2")]
    assert named["masks"] == [f"{folder}/3.zarr.zip" for folder in folders]


def test_lineage_follows_each_of_several(tmp_path):
    def recipe(method, **upstream):
        spec = {"method": method}
        return {"stage": "masks", "method": method, "spec": spec, "upstream": upstream}

    few, plain = recipe("full"), recipe("threshold")
    both = recipe("crf", masks_1=artifact_id(few), masks_2=artifact_id(plain))
    for one in (few, plain, both):
        folder = tmp_path / "digits" / "masks" / artifact_id(one)
        folder.mkdir(parents=True)
        write_record(folder / RECORDS[0], provenance(one))
    made = lineage(tmp_path, "digits", "masks", artifact_id(both))
    assert [(said["recipe"]["method"], said["supervision"]) for said in made] == [
        ("full", ["masks"]),
        ("threshold", []),
        ("crf", ["masks"]),
    ]
