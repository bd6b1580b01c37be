"""Chains with instances: what follows them reads them, or their semantic view."""

import pytest
from pydantic import ValidationError

from tags2masks.config.base import ConfigError
from tags2masks.config.instances import BoxCrf
from tags2masks.config.methods import METHODS
from tags2masks.stages import STAGES
from tags2masks.workflow.plan import Plan

CONFIG = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}},
    "instances": {"boxfill": {"method": "boxfill"}, "boxcrf": {"method": "boxcrf"}},
    "masks": {
        "threshold": {"method": "threshold"},
        "semantic": {"method": "semantic"},
        "check": {"method": "saliency_check", "saliency": "c2am"},
    },
    "objectness": {"c2am": {"method": "c2am"}},
    "segmenters": {"net": {"method": "deeplabv3plus"}, "other": {"method": "upernet"}},
}


def steps(*paths, datasets=None):
    """(depth, stage, method, methods upstream) of each artifact of the chains' experiments."""
    config = CONFIG | {"experiments": list(paths)} | ({"datasets": datasets} if datasets else {})
    return [
        [
            (
                depth,
                made.stage,
                made.method,
                {role: of.method for role, of in made.upstream.items()},
            )
            for depth, made in experiment.products
        ]
        for experiment in Plan(config).experiments
    ]


def test_a_segmenter_reads_the_semantic_view():
    ((instances, masks, segmenter, predictions),) = steps("digits / boxfill / net")
    assert instances == (1, "instances", "boxfill", {})
    assert masks == (1, "masks", "semantic", {"instances": "boxfill"})
    assert segmenter == (2, "segmenter", "deeplabv3plus", {"masks": "semantic"})
    assert predictions[1] == "predictions"
    assert STAGES["instances"].seen_as == ("instances", "masks")


def test_an_entry_of_its_own_is_the_same_view():
    plan = Plan(CONFIG | {"experiments": ["digits / boxfill / net", "digits / boxfill / semantic"]})
    assert len(plan.of_stage("masks")) == 1
    assert [depth for depth, _ in plan.experiments[1].products] == [1, 2]
    assert steps("digits / boxfill") == [[(1, "instances", "boxfill", {})]]


def test_masks_that_follow_masks_may_follow_instances():
    ((_, masks, checked),) = steps("digits / boxcrf / check")
    assert masks[1:3] == ("masks", "semantic")
    assert checked[3] == {"masks": "semantic", "objectness": "c2am"}


def test_what_takes_instances_gets_them(monkeypatch):
    monkeypatch.setattr(METHODS["segmenters"]["upernet"], "takes", ("instances",))
    ((instances, segmenter, _),) = steps("digits / boxfill / other")
    assert instances[1] == "instances" and segmenter[3] == {"instances": "boxfill"}
    with pytest.raises(ConfigError, match="'other' of segmenters follows one of instances"):
        steps("digits / vanilla / cam / threshold / other")


def test_instances_may_be_made_of_maps(monkeypatch):
    monkeypatch.setattr(METHODS["instances"]["boxcrf"], "takes", ("maps",))
    (made,) = steps("digits / vanilla / cam / boxcrf / net")
    assert [step[1:] for step in made if step[1] in ("instances", "segmenter")] == [
        ("instances", "boxcrf", {"maps": "cam"}),
        ("segmenter", "deeplabv3plus", {"masks": "semantic"}),
    ]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("digits / boxfill / cam", "'cam' of maps follows one of classifiers, but here it follows"),
        ("digits / boxfill / boxcrf", "'boxcrf' of instances follows the data set, but here"),
        ("digits / vanilla / boxfill", "boxfill' of instances follows the data set"),
        ("digits / vanilla / cam / semantic", "'semantic' of masks follows one of instances"),
        ("digits / boxfil", "no entry 'boxfil' in classifiers, detectors, objectness or instances"),
    ],
)
def test_what_may_not_follow(path, said):
    with pytest.raises(ConfigError, match=said):
        steps(path)


def folder(tmp_path, **options):
    (tmp_path / "tags.csv").write_text("image,tags,split\na.png,cat,train\nb.png,cat,val\n")
    (tmp_path / "masks").mkdir()
    (tmp_path / "boxes.csv").write_text("image,class,x1,y1,x2,y2\na.png,cat,0,0,1,1\n")
    places = {"images": str(tmp_path), "tags": str(tmp_path / "tags.csv")}
    return {"mine": {"kind": "folder", "classes": ["cat"]} | places | options}


def test_a_data_set_without_boxes(tmp_path):
    said = "instances.boxfill: boxfill learns from boxes, and datasets.mine has none"
    with pytest.raises(ConfigError, match=said):
        steps("mine / boxfill", datasets=folder(tmp_path))


def test_figures_of_instances_that_cannot_be_are_not_made(tmp_path):
    own = folder(tmp_path, boxes=str(tmp_path / "boxes.csv"), masks=str(tmp_path / "masks"))
    plan = Plan(CONFIG | {"datasets": own, "experiments": ["mine / boxfill / net"]})
    assert {path.split("/")[2] for path in plan.figures()} == {"masks", "predictions"}

    class Wildcards:
        dataset, stage, of = "mine", "instances", ""

    said = "datasets.mine: a folder data set has no true instances to measure instances with; data"
    for asked in (plan.true_masks, plan.true_instances):
        with pytest.raises(ConfigError, match=said):
            asked(Wildcards())


def test_figures_of_instances_of_either_stage():
    irn = {"method": "irn", "instances": True}
    config = CONFIG | {
        "masks": CONFIG["masks"] | {"irn": irn, "plain": {"method": "irn"}},
        "experiments": ["digits / boxfill", "digits / vanilla / cam / {irn,plain}"],
    }
    plan = Plan(config)
    wanted = [path for path in plan.figures() if "instances" in path]
    assert [path.split("/")[2] for path in wanted] == ["instances", "masks"]
    assert [path.split("/")[-1] for path in wanted] == ["metrics.csv", "instances.csv"]


def test_the_true_instances_are_those_of_the_split_that_is_measured():
    masks = CONFIG["masks"] | {"irn": {"method": "irn", "instances": True}}
    datasets = {"two": {"kind": "digits", "shards": 2}}
    more = {"evaluation": {"splits": ["train", "val"]}, "datasets": datasets, "masks": masks}
    plan = Plan(CONFIG | more | {"experiments": ["two / vanilla / cam / irn"]})
    wanted = [path for path in plan.figures() if path.endswith("instances.csv")]
    assert [path.split("/")[-1] for path in wanted] == ["instances.csv", "val-instances.csv"]

    class Wildcards:
        dataset, stage, of = "two", "masks", "val-"

    folder = "results/two/true_instances"
    assert plan.true_instances(Wildcards()) == [f"{folder}/val-{n}.zarr.zip" for n in range(2)]
    Wildcards.of = ""
    assert plan.true_instances(Wildcards()) == [f"{folder}/{n}.zarr.zip" for n in range(2)]
    for shard, split, part in (("val-1", "val", "--split val --shard 1"), ("0", "train", None)):
        Wildcards.shard = shard
        assert plan.shard_index(Wildcards()) == f"results/two/{split}.csv"
        assert plan.shard_part(Wildcards()) == (part or "--split train --shard 0")


@pytest.mark.parametrize(("field", "value"), [("foreground", 1), ("margin", -1), ("least", 2)])
def test_options_out_of_range(field, value):
    with pytest.raises(ValidationError):
        BoxCrf(**{field: value})
