"""Artifact ids: the same for the same work, another for any change that matters."""

import copy
import re
from dataclasses import replace

import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.project import parse_config
from tags2masks.config.segmenters import METHODS as SEGMENTERS
from tags2masks.workflow.artifacts import all_artifacts, reference_cams
from tags2masks.workflow.building import build_experiments

BASE = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}},
    "masks": {
        "crf": {"method": "crf", "background_score": 0.3},
        "plain": {"method": "threshold", "background_score": 0.3},
    },
    "evaluation": {"background_score": 0.3},
    "segmenters": {"net": {"method": "deeplabv3plus"}},
    "experiments": ["digits / vanilla / cam / {plain,crf} / net"],
}


def ids(raw, number=0):
    """Stage -> id of an experiment."""
    experiment = build_experiments(parse_config(raw))[number]
    return {stage: artifact.id for stage, artifact in experiment.artifacts.items()}


def changed(raw, path, value):
    """A copy of the config with one value set."""
    copied = copy.deepcopy(raw)
    here = copied
    *parents, last = path.split(".")
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return copied


def test_ids_name_the_method_and_experiments_share_what_they_share():
    config = parse_config(BASE)
    first, second = build_experiments(config)
    assert re.fullmatch(r"vanilla-[0-9a-f]{8}", first.artifacts["classifier"].id)
    assert first.artifacts["maps"].id == second.artifacts["maps"].id
    assert first.artifacts["segmenter"].id != second.artifacts["segmenter"].id
    # one classifier, one map; masks, segmenter and predictions twice
    assert len(all_artifacts([first, second])) == 2 + 2 * 3
    assert first.name == "digits/vanilla/cam/plain/net"
    folder = first.artifacts["maps"].folder
    assert folder == f"results/digits/maps/{first.artifacts['maps'].id}"


@pytest.mark.parametrize(
    ("path", "value", "kept"),
    [
        ("seed", 1, []),
        ("datasets.digits.size", 32 * 3, []),
        ("classifiers.vanilla.epochs", 6, []),
        ("maps.cam.flip", False, ["classifier"]),
        ("masks.plain.background_score", 0.5, ["classifier", "maps"]),
        ("segmenters.net.epochs", 2, ["classifier", "maps", "masks"]),
        (
            "segmenters.net.test",
            {"flip": True},
            ["classifier", "maps", "masks", "segmenter"],
        ),
        (
            "datasets.digits.evaluate_on",
            "train",
            ["classifier", "maps", "masks", "segmenter"],
        ),
    ],
)
def test_a_change_gives_new_ids_from_its_stage_on(path, value, kept):
    before, after = ids(BASE), ids(changed(BASE, path, value))
    assert [stage for stage in before if before[stage] == after[stage]] == kept


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("device", "cuda"),
        ("threads", 7),
        ("datasets.digits.shards", 3),
        ("maps.cam.batch_size", 2),
        ("segmenters.net.test.batch_size", 1),
        ("classifiers.vanilla.keep_states", True),
        ("classifiers.vanilla.epochs", 5),  # the default, written out
        ("evaluation.background_score", 0.1),
    ],
)
def test_where_and_how_fast_is_in_no_id(path, value):
    assert ids(changed(BASE, path, value)) == ids(BASE)


def with_prototypes(**values):
    maps = {"lpcam": {"method": "lpcam"} | values}
    return BASE | {"maps": maps, "experiments": ["digits / vanilla / lpcam / crf / net"]}


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"scales": [1]}, ["classifier", "prototypes"]),
        ({"context": False}, ["classifier", "prototypes"]),
        ({"prototypes": {"clusters": 5}}, ["classifier"]),
        ({"prototypes": {"batch_size": 5}}, None),
        ({"prototypes": {"clusters": 12}}, None),  # the default, written out
    ],
)
def test_prototypes_are_an_artifact_of_their_own(values, kept):
    before, after = ids(with_prototypes()), ids(with_prototypes(**values))
    assert list(before) == [
        "classifier", "prototypes", "maps", "masks", "segmenter", "predictions"
    ]  # fmt: skip
    same = [stage for stage in before if before[stage] == after[stage]]
    assert same == (list(before) if kept is None else kept)


def test_what_prototypes_and_their_maps_are_made_from():
    (experiment,) = build_experiments(parse_config(with_prototypes()))
    made = experiment.artifacts
    assert list(made["prototypes"].upstream) == ["classifier"]
    assert list(made["maps"].upstream) == ["classifier", "prototypes"]
    assert list(made["masks"].upstream) == ["maps"]
    assert re.fullmatch(r"kmeans-[0-9a-f]{8}", made["prototypes"].id)
    assert "prototypes" not in made["maps"].recipe["spec"]
    assert made["prototypes"].recipe["spec"]["clusters"] == 12


def with_ordinary(**classifiers):
    ours = {"ours": {"method": "pnoc", "ordinary": "vanilla"}}
    return BASE | {
        "classifiers": BASE["classifiers"] | ours | classifiers,
        "experiments": ["digits / ours / cam / plain"],
    }


def test_a_classifier_named_in_another_is_one_more_upstream():
    experiments = build_experiments(parse_config(with_ordinary()))
    ours, plain = experiments[0].artifacts["classifier"], ids(BASE)["classifier"]
    assert {role: one.id for role, one in ours.upstream.items()} == {"classifier": plain}
    assert "ordinary" not in ours.recipe["spec"]
    assert ours.recipe["upstream"] == {"classifier": plain}
    assert list(experiments[0].artifacts) == ["classifier", "maps", "masks"]
    assert ("digits", "classifier", plain) in all_artifacts(experiments)
    assert len(all_artifacts(experiments)) == 4


def test_the_named_classifier_counts_and_its_name_does_not():
    first = ids(with_ordinary())["classifier"]
    other = with_ordinary(vanilla={"method": "vanilla", "epochs": 6})
    assert ids(other)["classifier"] != first
    renamed = with_ordinary(
        plain={"method": "vanilla"}, ours={"method": "pnoc", "ordinary": "plain"}
    )
    assert ids(renamed)["classifier"] == first


@pytest.mark.parametrize(
    ("ordinary", "message"),
    [
        ("vanila", "classifiers.ours.ordinary: no entry 'vanila' in classifiers; did you mean"),
        ("ours", "classifiers.ours.ordinary: ours is itself made with ours; name a"),
        ("third", "classifiers.third.ordinary: ours is itself made with third; name a"),
        ("told", "classifiers.ours.ordinary: told is of method amn, which learns from the masks"),
    ],
)
def test_an_ordinary_classifier_that_cannot_be_is_told(ordinary, message):
    ours = {"method": "occse", "ordinary": ordinary}
    third = {"method": "poc", "ordinary": "ours"}
    with pytest.raises(ConfigError) as error:
        told = {"method": "amn"}
        build_experiments(parse_config(with_ordinary(ours=ours, third=third, told=told)))
    assert str(error.value).startswith(message)


def test_the_folder_of_weights_is_in_no_id_but_their_name_is():
    def with_weights(path):
        return changed(BASE, "classifiers.vanilla.backbone", {"weights": path})

    assert ids(with_weights("/here/a.pth")) == ids(with_weights("/there/a.pth"))
    assert ids(with_weights("/here/a.pth")) != ids(with_weights("/here/b.pth"))


def test_a_renamed_entry_is_the_same_work():
    renamed = copy.deepcopy(BASE)
    renamed["classifiers"] = {"plain": renamed["classifiers"]["vanilla"]}
    renamed["experiments"] = ["digits / plain / cam / {plain,crf} / net"]
    assert ids(renamed) == ids(BASE)


def test_an_encoder_can_only_start_from_a_classifier_of_its_kind():
    raw = changed(BASE, "segmenters.net.init_from_classifier", True)
    build_experiments(parse_config(raw))
    raw = changed(raw, "segmenters.net.backbone", {"name": "resnet18"})
    with pytest.raises(
        ConfigError, match=r"segmenters\.net\.init_from_classifier: .* resnet18 .* resnet50"
    ):
        build_experiments(parse_config(raw))


SOME_MASKS = changed(BASE, "datasets.digits.labelled", 4)


@pytest.mark.parametrize("method", SEGMENTERS)
def test_another_test_of_a_segmenter_is_other_predictions_alone(method):
    raw = changed(SOME_MASKS, "segmenters.net", {"method": method, "test": {"crf": None}})
    if "instances" in SEGMENTERS[method].needs:
        raw = changed(raw, "masks.objects", {"method": "irn", "instances": True})
        raw["experiments"] = ["digits / vanilla / cam / objects / net"]
    before = ids(raw)
    for value in ({}, {"iterations": 1}, {"gaussian": {"compat": 3}}):
        after = ids(changed(raw, "segmenters.net.test.crf", value))
        assert {stage for stage in before if before[stage] != after[stage]} == {"predictions"}
    larger = ids(changed(raw, "segmenters.net.test.batch_size", 3))
    assert larger == before


# All but those of instances, whose network is that of a detector.
OF_MASKS = [method for method, block in SEGMENTERS.items() if "instances" not in block.needs]


@pytest.mark.parametrize("method", OF_MASKS)
def test_every_segmenter_of_masks_can_start_from_the_classifier(method):
    backbone = {"name": "test_vit" if method == "dpt" else "resnet18"}
    raw = changed(SOME_MASKS, "classifiers.vanilla.backbone", backbone)
    raw["segmenters"]["net"] = {
        "method": method,
        "backbone": backbone,
        "init_from_classifier": True,
    }
    upstream = build_experiments(parse_config(raw))[0].artifacts["segmenter"].upstream
    assert set(upstream) == {"masks", "classifier"}


def test_regions_are_told_apart_by_the_classifiers_own_cam():
    raw = copy.deepcopy(BASE)
    raw["maps"]["small"] = {"method": "cam", "scales": [1]}
    raw["classifiers"]["other"] = {"method": "vanilla", "epochs": 1}
    raw["experiments"] = ["digits / vanilla / {small,cam} / crf", "digits / other"]
    config = parse_config(raw)
    small, cam, other = experiments = build_experiments(config)
    found = reference_cams(config, experiments)
    assert len(found) == 4  # two maps, two masks; none of a classifier alone
    assert {artifact.id for artifact in found.values()} == {small.artifacts["maps"].id}
    assert ("digits", "masks", cam.artifacts["masks"].id) in found
    assert other.artifacts["classifier"].id not in [
        a.upstream["classifier"].id for a in found.values()
    ]


def test_without_a_cam_of_its_own_a_classifier_gets_one_of_defaults():
    config = parse_config(changed(BASE, "maps.cam.scales", [1]))
    first = build_experiments(config)[0]
    maps = first.artifacts["maps"]
    other = replace(maps, recipe=maps.recipe | {"method": "other"})
    found = reference_cams(
        config, [replace(first, products=((1, maps.upstream["classifier"]), (2, other)))]
    )
    # The id of the very CAM that an experiment with the defaults would make.
    assert {artifact.id for artifact in found.values()} == {ids(BASE)["maps"]}


def test_without_truth_there_are_no_regions():
    raw = changed(BASE, "datasets.digits", {"kind": "folder", "images": "i", "tags": "t"})
    config = parse_config(raw)
    assert reference_cams(config, build_experiments(config)) == {}


def test_maps_of_some_images_end_their_experiment_and_tell_no_regions_apart():
    some = changed(changed(BASE, "maps.cam.images", 5), "experiments", ["digits / vanilla / cam"])
    config = parse_config(some)
    experiments = build_experiments(config)
    (reference,) = reference_cams(config, experiments).values()
    assert reference.block.images is None
    with pytest.raises(ConfigError, match=r"maps\.cam\.images: 5 localizes a part"):
        build_experiments(parse_config(changed(BASE, "maps.cam.images", 5)))


def test_maps_of_some_objects_may_have_instances_and_nothing_after_them():
    raw = {
        "datasets": {"digits": {"kind": "digits", "labelled": "all"}},
        "detectors": {"fasterrcnn": {"method": "fasterrcnn"}},
        "maps": {"bbam": {"method": "bbam", "images": 5}},
        "instances": {"boxmask": {"method": "boxmask"}},
        "segmenters": {"maskrcnn": {"method": "maskrcnn"}},
        "experiments": ["digits / fasterrcnn / bbam / boxmask"],
    }
    (experiment,) = build_experiments(parse_config(raw))
    assert experiment.artifacts["maps"].block.images == 5
    raw["experiments"] = ["digits / fasterrcnn / bbam / boxmask / maskrcnn"]
    with pytest.raises(ConfigError, match=r"images: 5 .* must end there, or at instances of these"):
        build_experiments(parse_config(raw))


def with_irn(background_score=0.25, **affinity):
    """BASE with a chain that walks along IRN's affinities."""
    irn = {"method": "irn", "affinity": affinity, "background_score": background_score}
    raw = changed(BASE, "masks.irn", irn)
    return raw | {"experiments": ["digits / vanilla / cam / irn"]}


def test_labels_and_affinity_are_artifacts_of_their_own():
    made = build_experiments(parse_config(with_irn()))[0].artifacts
    assert list(made) == ["classifier", "maps", "score", "labels", "affinity", "walk", "masks"]
    assert {stage: set(made[stage].upstream) for stage in list(made)[2:]} == {
        "score": {"maps", "classifier"}, "labels": {"maps", "score"}, "affinity": {"labels"},
        "walk": {"maps", "affinity"}, "masks": {"maps"},
    }  # fmt: skip
    assert made["masks"].upstream["maps"] == made["walk"]
    walked = build_experiments(parse_config(with_irn("auto")))[0].artifacts
    assert walked["score"].upstream["maps"] == walked["walk"] == walked["masks"].upstream["maps"]
    assert walked["labels"].upstream["score"].upstream["maps"] == walked["maps"]
    assert set(made["masks"].recipe["spec"]) == {"method", "instances", "background_score", "crf"}
    assert made["walk"].recipe["spec"]["beta"] == 10
    assert not {"labels", "affinity"} & set(made["walk"].recipe["spec"])
    own = build_experiments(parse_config(with_irn(init_from_classifier=True)))[0].artifacts
    assert own["affinity"].upstream["classifier"].id == own["classifier"].id


def test_a_backbone_that_is_not_trained_needs_weights():
    message = r"masks\.irn\.affinity\.backbone\.weights: null, but this backbone is not trained"
    with pytest.raises(ConfigError, match=message):
        build_experiments(parse_config(with_irn(backbone={"weights": None})))


FULL = BASE | {
    "datasets": {"digits": {"kind": "digits", "labelled": 16}},
    "masks": {"full": {"method": "full"}},
    "experiments": ["digits / full / net"],
}


def test_a_chain_may_begin_with_true_masks():
    (experiment,) = build_experiments(parse_config(FULL))
    assert list(experiment.artifacts) == ["masks", "segmenter", "predictions"]
    masks = experiment.artifacts["masks"]
    assert masks.upstream == {} and masks.recipe["dataset"]["labelled"] == 16
    assert all(artifact.supervision == ("masks",) for artifact in experiment.artifacts.values())
    # What learns from tags alone does not depend on it.
    assert ids(changed(BASE, "datasets.digits.labelled", 16)) == ids(BASE)
    assert ids(changed(FULL, "datasets.digits.labelled", 17))["masks"] != masks.id


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("datasets.digits", {"kind": "digits"}, "masks.full: full learns from masks, and datasets."
         "digits names none; set labelled in it: a number, a share, a list of images, or all"),
        ("datasets.digits", {"kind": "folder", "images": "i", "tags": "t"},
         "masks.full: full learns from masks, and datasets.digits has none"),
        ("segmenters.net.init_from_classifier", True,
         "segmenters.net.init_from_classifier: 'digits/full/net' has no classifier; set it to"),
    ],
)  # fmt: skip
def test_true_masks_that_cannot_be_are_told(path, value, message):
    with pytest.raises(ConfigError) as error:
        build_experiments(parse_config(changed(FULL, path, value)))
    assert str(error.value).startswith(message)


def test_seeds_repeat_every_experiment_with_artifacts_of_their_own():
    found = build_experiments(parse_config(BASE | {"seeds": [3, 0]}))
    assert [one.name for one in found[:2]] == [
        "digits/vanilla/cam/plain/net@3", "digits/vanilla/cam/plain/net@0"
    ]  # fmt: skip
    assert {stage: a.id for stage, a in found[1].artifacts.items()} == ids(BASE)
    assert {a.recipe["seed"] for a in found[0].artifacts.values()} == {3}
    assert not {a.id for _, a in found[0].products} & {a.id for _, a in found[1].products}
    # A single seed in the list is a plain experiment.
    assert build_experiments(parse_config(BASE | {"seeds": [3]}))[0].name == found[0].path
    # As Snakemake gives the list of `--config 'seeds=[3,0]'`.
    assert parse_config(BASE | {"seeds": ["3", "0"]}).seeds == (3, 0)
    with pytest.raises(ConfigError, match=r"^seeds\.1: 'x' is not valid: .*integer"):
        parse_config(BASE | {"seeds": ["3", "x"]})
