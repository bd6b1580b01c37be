"""The config: strict, with errors that name the key, the value and the valid choices."""

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.classifiers import Vanilla
from tags2masks.config.experiments import expand_braces, expand_experiments
from tags2masks.config.project import parse_config
from tags2masks.config.segmenters import DeepLabV2
from tags2masks.config.training import Backbone
from tags2masks.workflow import started
from tags2masks.workflow.catalog import Catalog
from tags2masks.workflow.plan import Plan

BASE = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}},
    "masks": {"crf": {"method": "crf"}, "plain": {"method": "threshold"}},
    "segmenters": {"net": {"method": "deeplabv3plus"}},
    "experiments": ["digits / vanilla / cam / {plain,crf} / net"],
}


def optimizer(**values):
    return {"classifiers": {"v": {"method": "vanilla", "optimizer": values}}}


def backbone(**values):
    return {"classifiers": {"v": {"method": "vanilla", "backbone": values}}}


def crf(**values):
    return {"masks": {"c": {"method": "crf"} | values}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sede": 1}, "sede: unknown key; did you mean 'seed'? choose from classifiers, dask"),
        ({"seed": "one"}, "seed: 'one' is not valid: input should be a valid integer"),
        ({"seed": True}, "seed: True is not valid"),
        (
            {"datasets": {"d": {"kind": "voc", "root": "r", "names": ["cat", "Background"]}}},
            "datasets.d: 'Background' means something else in the tables; rename this class",
        ),
        ({"device": "gpu"}, "device: unknown value 'gpu'; choose from 'cpu', 'cuda' or 'auto'"),
        (
            {"classifiers": {"v": {"method": "vanila"}}},
            "classifiers.v.method: unknown method 'vanila'; did you mean 'vanilla'? "
            "choose from amn, clip, edam, ficklenet, mctformer, occse, pnoc, poc, puzzle, "
            "sampling, seam, vanilla",
        ),
        (
            {"masks": {"crf": {"method": "crff"}}},
            "masks.crf.method: unknown method 'crff'; did you mean 'crf'? "
            "choose from agreed, any_pass, confident, crf, full, irn, predicted, psa, "
            "saliency_check, saliency_cut, segments, semantic, smooth, superpixel, threshold, vote",
        ),
        ({"masks": {"crf": {"iterations": 2}}}, "masks.crf.method: missing; add it"),
        (
            {"segmenters": {"net": {"method": "deeplab"}}},
            "segmenters.net.method: unknown method 'deeplab'; did you mean 'deeplabv2'? "
            "choose from cct, deeplabv1, deeplabv2, deeplabv3plus, dpt, maskrcnn, mixed, "
            "upernet",
        ),
        (
            {"segmenters": {"net": {"method": "upernet", "test": {"crf": {"iteration": 1}}}}},
            "segmenters.net.test.crf.iteration: unknown key; did you mean 'iterations'?",
        ),
        (
            {"segmenters": {"net": {"method": "deeplabv2", "rates": [6, 0]}}},
            "segmenters.net.rates.1: 0 is not valid",
        ),
        (
            {"masks": {"crf": {"method": "crf", "gaussian": {"sxz": 1}}}},
            "masks.crf.gaussian.sxz: unknown key; did you mean 'sxy'? choose from compat, sxy",
        ),
        (
            {"classifiers": {"vanilla": {"method": "vanilla", "epochs": 2.5}}},
            "classifiers.vanilla.epochs: 2.5 is not valid",
        ),
        (
            {"classifiers": {"v": {"method": "vanilla", "backbone": {"nam": "x"}}}},
            "classifiers.v.backbone.nam: unknown key; did you mean 'name'?",
        ),
        (
            {"datasets": {"a": {"kind": "digit"}}},
            "datasets.a.kind: unknown kind 'digit'; did you mean 'digits'? "
            "choose from coco, digits, folder, mnist, openimages, tiled, untagged, voc",
        ),
        (
            {"datasets": {"a": {"kind": "voc", "root": "x", "classes": ["cat", "doggy"]}}},
            "datasets.a: unknown class 'doggy'; choose from aeroplane",
        ),
        (
            {"datasets": {"a": {"kind": "voc", "root": "x", "names": ["a"], "classes": ["cat"]}}},
            "datasets.a: unknown class 'cat'; choose from a",
        ),
        (
            {"datasets": {"a": {"kind": "voc", "root": "x", "names": ["a", "b", "a"]}}},
            "datasets.a: classes are listed twice: a",
        ),
        (
            {
                "datasets": {
                    "a": {"kind": "voc", "root": "x", "names": [str(n) for n in range(254)]}
                }
            },
            "datasets.a: 254 names, but masks hold 253",
        ),
        (
            {"datasets": {"a": {"kind": "digits", "classes": ["one", "one"]}}},
            "datasets.a: classes are listed twice: one",
        ),
        ({"datasets": {"a": {"kind": "voc"}}}, "datasets.a.root: missing; add it"),
        (
            {"datasets": {"a": {"kind": "folder", "images": "i", "tags": "t", "masks": "m"}}},
            "datasets.a: masks need classes",
        ),
        ({"datasets": {"a/b": {"kind": "digits"}}}, "datasets.a/b: 'a/b' is no name"),
        ({"maps": {"cam": {"method": "cam", "scales": []}}}, "maps.cam.scales: () is not valid"),
        (
            {"maps": {"cam": {"method": "cam", "scales": [1, "a"]}}},
            "maps.cam.scales.1: 'a' is not valid: input should be a valid number",
        ),
        ({"experiments": []}, "experiments: () is not valid"),
        ({"experiments": "a / b"}, "experiments: 'a / b' is no list; write [\"a / b\"], or a line"),
        (
            {"classifiers": {"v": {"metod": "vanilla"}}},
            "classifiers.v.metod: unknown key; did you mean 'method'?",
        ),
        (
            optimizer(lr="2e-3"),
            "classifiers.v.optimizer.lr: '2e-3' is text to YAML, which wants a "
            "point and a sign in such numbers; write 2.0e-3",
        ),
        (optimizer(lr="1.5E6"), "classifiers.v.optimizer.lr: '1.5E6' is text to YAML"),
        (optimizer(lr="fast"), "classifiers.v.optimizer.lr: 'fast' is not valid"),
        (optimizer(lr=1e6), "classifiers.v.optimizer.lr: 1000000.0 is not valid: input should be"),
        (optimizer(lr=math.inf), "classifiers.v.optimizer.lr: inf is not finite; write a number"),
        (
            backbone(std=[0, 0.1, 0.1]),
            "classifiers.v.backbone.std.0: 0 is not valid: input should be "
            "greater than or equal to 0.001",
        ),
        (backbone(mean=[math.nan, 0, 0]), "classifiers.v.backbone.mean.0: nan is not finite"),
        (backbone(mean=[124, 0, 0]), "classifiers.v.backbone.mean.0: 124 is not valid"),
        (
            {"dask": "tcp://h:1$(touch x)"},
            "dask: 'tcp://h:1$(touch x)' is no address; write tcp://",
        ),
        (
            {"segmenters": {"n": {"method": "deeplabv3plus", "batch_size": 1}}},
            "segmenters.n.batch_size: 1 is not valid: input should be greater than or equal to 2",
        ),
        ({"dask": "h"}, "dask: 'h' is no address; write tcp://host:port"),
        (crf(gaussian={"compat": math.inf}), "masks.c.gaussian.compat: inf is not finite"),
        (crf(gaussian={"compat": 1e39}), "masks.c.gaussian.compat: 1e+39 is not valid"),
        (crf(gaussian={"sxy": 1e-9}), "masks.c.gaussian.sxy: 1e-09 is not valid"),
        (crf(bilateral={"srgb": 1e-6}), "masks.c.bilateral.srgb: 1e-06 is not valid"),
        (crf(bilateral={"sxy": 1e-9}), "masks.c.bilateral.sxy: 1e-09 is not valid"),
        (crf(bilateral={"compat": 1e39}), "masks.c.bilateral.compat: 1e+39 is not valid"),
    ],
)
def test_bad_configs_are_refused_by_key_value_and_choices(change, message):
    with pytest.raises(ConfigError) as error:
        parse_config(BASE | change)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_every_mistake_gets_its_line():
    with pytest.raises(ConfigError) as error:
        parse_config(BASE | {"seed": -1, "threads": 0})
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["seed", "threads"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["a"]),
        ("a{b,c}d", ["abd", "acd"]),
        ("{a,b}/{c,d}", ["a/c", "a/d", "b/c", "b/d"]),
        ("a{b,c{d,e}}f", ["abf", "acdf", "acef"]),
        ("{a}", ["a"]),
    ],
)
def test_braces(text, expected):
    assert expand_braces(text) == expected


@pytest.mark.parametrize("text", ["a{b", "a}b", "{a{b}", "{a}}"])
def test_unbalanced_braces(text):
    with pytest.raises(ConfigError, match=r"experiments\.0: .*: unbalanced braces"):
        expand_experiments(parse_config(BASE | {"experiments": [text]}))


@pytest.mark.parametrize("text", ["/".join(["{a,b}"] * 30), "{" * 60 + "a" + "}" * 60])
def test_braces_that_stand_for_too_much_are_told_at_once(text):
    with pytest.raises(ConfigError, match=r"(stands for more than 10,000|more than 50 braces)"):
        expand_experiments(parse_config(BASE | {"experiments": [text]}))


@pytest.mark.parametrize("name", ["report.html", "metrics.csv", "predict", "README.md"])
def test_a_data_set_has_no_name_that_is_taken_in_results(name):
    raw = {"datasets": {name: {"kind": "digits"}}, "experiments": [f"{name} / vanilla"]}
    with pytest.raises(ConfigError, match=rf"datasets\.{name}: this name is taken by results/"):
        Catalog(BASE | raw)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"published": "{x}.csv"}, "published"),
        (
            {"predict": {"a": {"experiment": "digits/vanilla/cam/crf/net", "images": "{x}"}}},
            "predict.a.images",
        ),
    ],
)
def test_braces_in_a_path_that_is_an_input_are_refused(tmp_path, monkeypatch, change, key):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "{x}.csv").touch()
    (tmp_path / "{x}").mkdir()
    with pytest.raises(ConfigError, match=rf"^{key}: \{{x\}}(\.csv)? has braces in it"):
        Catalog(BASE | change)


def test_a_folder_to_predict_that_is_not_there_stops_no_plan(tmp_path, monkeypatch):
    """Training needs no such folder; the job that does says which is missing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(started.VARIABLE, "{}")
    predict = {"experiment": "digits/vanilla/cam/crf/net", "images": "new"}
    plan = Plan(BASE | {"predict": {"mine": predict}})
    mine = SimpleNamespace(name="mine")
    assert plan.predicted_images(mine) == []
    Path("new").mkdir()
    assert plan.predicted_images(mine) == ["new"]


def test_experiments_expand_to_entry_names_once():
    config = parse_config(
        BASE | {"experiments": ["digits/vanilla/cam/{plain,crf}", "digits / vanilla / cam / crf"]}
    )
    assert [tuple(s.name for s in c) for c in expand_experiments(config)] == [
        ("digits", "vanilla", "cam", "plain"),
        ("digits", "vanilla", "cam", "crf"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "digits/vanila",
            "no entry 'vanila' in classifiers, detectors, objectness or instances; did you mean",
        ),
        ("digts/vanilla", "no entry 'digts' in datasets; did you mean 'digits'?"),
        ("digits", "too short; write dataset / classifier"),
        ("digits/vanilla/cam/crf/net/x", "nothing can follow net, one of segmenters; end the"),
    ],
)
def test_experiments_that_cannot_be(text, message):
    with pytest.raises(ConfigError) as error:
        expand_experiments(parse_config(BASE | {"experiments": [text]}))
    assert f"experiments.0: '{text}': {message}" in str(error.value)


def test_masks_may_begin_a_chain_and_a_classifier_may_follow_masks():
    class FromMasks(Vanilla):
        takes: ClassVar[tuple[str, ...]] = ("masks",)

    raw = BASE | {"classifiers": {"vanilla": {"method": "vanilla"}, "amn": {"method": "vanilla"}}}
    raw["masks"] = BASE["masks"] | {"full": {"method": "full"}, "irn": {"method": "irn"}}
    raw["experiments"] = ["digits / {full / net,vanilla / cam / crf / amn / cam / irn / net}"]
    config = parse_config(raw)
    with pytest.raises(ConfigError, match="'amn' of classifiers follows the data set, but here it"):
        expand_experiments(config)
    amn = FromMasks()
    config = config.model_copy(update={"classifiers": config.classifiers | {"amn": amn}})
    full, long = expand_experiments(config)
    assert [step.section for step in full[1:]] == ["masks", "segmenters"]
    assert [step.section for step in long[1:]] == [
        "classifiers", "maps", "masks", "classifiers", "maps", "masks", "segmenters"
    ]  # fmt: skip
    both = config.model_copy(update={"classifiers": {"full": Vanilla()}})
    with pytest.raises(ConfigError, match="'full' may be of classifiers or of masks here; rename"):
        expand_experiments(both.model_copy(update={"experiments": ("digits / full",)}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "digits/vanilla/crf",
            "'crf' of masks follows one of maps, but here it follows vanilla, one of classifiers; "
            "choose from cam",
        ),
        ("digits/cam", "'cam' of maps follows one of classifiers, but here it follows a data set"),
        ("digits/vanilla/cam/net", "'net' of segmenters follows one of masks, but here it follows"),
        ("digits/vanilla/kam", "no entry 'kam' in maps; did you mean 'cam'? choose from cam"),
    ],
)
def test_entries_out_of_place_are_told(text, message):
    with pytest.raises(ConfigError) as error:
        expand_experiments(parse_config(BASE | {"experiments": [text]}))
    assert str(error.value).startswith(f"experiments.0: '{text}': {message}")


def test_a_block_given_in_part_keeps_the_methods_other_defaults():
    config = parse_config(
        BASE
        | {"classifiers": {"v": {"method": "vanilla", "optimizer": {"lr": 1}}}}
        | {"experiments": ["digits/v"]}
    )
    optimizer = config.classifiers["v"].optimizer
    assert (optimizer.lr, optimizer.momentum, optimizer.head_factor) == (1.0, 1e-4, 10)


def test_a_networks_crf_given_in_part_keeps_its_other_defaults():
    net = {"method": "deeplabv2", "test": {"crf": {"bilateral": {"sxy": 80}}}}
    test = parse_config(BASE | {"segmenters": {"net": net}}).segmenters["net"].test
    assert test.crf.bilateral.model_dump() == {"sxy": 80, "srgb": 3, "compat": 4}
    assert (test.crf.iterations, test.crf.gaussian.compat) == (10, 3)
    net = {"method": "deeplabv2", "test": {"crf": None}}
    assert parse_config(BASE | {"segmenters": {"net": net}}).segmenters["net"].test.crf is None
    net = {"method": "deeplabv3plus", "test": {"crf": {}}}
    test = parse_config(BASE | {"segmenters": {"net": net}}).segmenters["net"].test
    assert test.crf.model_dump() == DeepLabV2().test.crf.model_dump()


@pytest.mark.parametrize("address", ["tcp://node-1.lab:8786", "10.0.0.1:1", "tls://[::1]:8786"])
def test_addresses_of_dask(address):
    assert parse_config(BASE | {"dask": address}).dask == address


def test_an_address_of_dask_is_one_word_to_the_shell():
    """The pattern of addresses lets no such word in; quotes are the second guard."""
    config = parse_config(BASE).model_copy(update={"dask": "tcp://h:1$(touch x)"})
    plan = SimpleNamespace(config=config)
    assert Plan.dask(plan, None, None) == "--dask 'tcp://h:1$(touch x)'"
    plan.config = parse_config(BASE | {"dask": "tls://[::1]:8786"})
    assert Plan.dask(plan, None, None) == "--dask 'tls://[::1]:8786'"
    plan.config = parse_config(BASE)
    assert Plan.dask(plan, None, None) == ""


def test_keys_leave_out_what_only_says_where_and_how_fast():
    cam = parse_config(BASE).maps["cam"]
    assert set(cam.key()) == {"method", "images", "scales", "flip", "stride", "precision"}
    digits = parse_config(BASE).datasets["digits"]
    assert not {"shards", "evaluate_on"} & set(digits.key())
    assert Backbone(weights="/a/b/net.pth").key()["weights"] == "net.pth"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"alpha": "white"}, "datasets.d.alpha: 'white' is no colour; write \"#rrggbb\" in quotes"),
        ({"alpha": 5}, "datasets.d.alpha: 5 is no colour"),
        ({"bands": [0, 1]}, "datasets.d.bands"),
        ({"bands": [0, 1, -1]}, "datasets.d.bands.2: -1 is not valid"),
    ],
)
def test_how_images_are_read(options, said):
    one = {"kind": "folder", "images": "i", "tags": "t"}
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse_config(BASE | {"datasets": {"d": one | options}})


def test_options_of_images_are_in_the_id_only_where_they_change_something():
    def spec(**options):
        one = {"kind": "folder", "images": "i", "tags": "t"} | options
        return parse_config(BASE | {"datasets": {"digits": one}}).datasets["digits"]

    assert spec().key() == spec(alpha="#FFFFFF", bands=None).key()
    assert spec().key() == {"kind": "folder", "classes": None} and spec().reading == {}
    assert spec(alpha="ignore").key()["alpha"] == "ignore"
    assert spec(bands=[3, 0, 1]).key() == spec().key() | {"bands": [3, 0, 1]}
    assert spec(bands=[3, 0, 1], alpha="#000000").reading == {
        "bands": (3, 0, 1),
        "alpha": "#000000",
    }
