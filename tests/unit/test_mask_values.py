"""What a config may say of the values and colours of masks."""

import re

import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.project import parse_config
from tags2masks.config.voc import Voc
from tags2masks.data import voc
from tags2masks.workflow.artifacts import all_artifacts
from tags2masks.workflow.building import build_experiments
from tests.unit.test_config import BASE

COLOURS = {"#00FF00": "cat", "[0, 0, 0]": "background", "255, 0,0": "dog"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (COLOURS, {"#00ff00": "cat", "#000000": "background", "#ff0000": "dog"}),
        ({0: "background", 255: "cat", "007": "dog", 9: "dog"}, None),
        ({0: "background", 255: "kat"}, "255 stands for 'kat'; choose from cat, dog, background"),
        ({0: "background", 255: "cat"}, "no value stands for 'dog'; add it"),
        ({0: "cat", "#ffffff": "dog"}, "both numbers and colours; write one of them for all"),
        ({256: "cat"}, "256 is no pixel value; write a number from 0 to 255, or a colour as"),
        ({True: "cat"}, "True is no pixel value"),
        ({"red": "cat"}, "'red' is no pixel value"),
        ({"1, 2, 256": "cat"}, "'1, 2, 256' is no pixel value"),
        ({1: "cat", "01": "dog"}, "01 is there twice; keep one"),
        ({1: None}, "1 stands for None; write a class, background or ignored"),
        ({}, "write what each pixel value or colour stands for"),
        ([1, 2], "write what each pixel value or colour stands for"),
    ],
)
def test_mask_values(values, said):
    mine = {"images": "i", "tags": "t", "masks": "m", "classes": ["cat", "dog"]}
    mine |= {"kind": "folder", "mask_values": values}
    raw = BASE | {"datasets": {"digits": mine}}
    if isinstance(said, str):
        with pytest.raises(ConfigError, match="datasets.digits.*" + re.escape(said)):
            parse_config(raw)
        return
    read = parse_config(raw).datasets["digits"]
    assert read.mask_values == (said or {"0": "background", "255": "cat", "7": "dog", "9": "dog"})
    assert "mask_values" not in read.key() and read.truth_key()["mask_values"] == read.mask_values


def test_values_of_a_devkit_go_by_its_names():
    values = {0: "background", 10: "cat", 20: "dog", 30: "ignored"}
    spec = Voc(root="", names=("cat", "dog"), classes=("dog",), mask_values=values, others="ignore")
    table = voc.mask_table(spec, ["dog"])
    assert table[[0, 10, 20, 30]].tolist() == [0, 255, 1, 255]
    assert (table[[1, 2, 255]] == 254).all()


def test_values_are_in_the_id_of_what_learns_from_masks_alone():
    def ids(values):
        mine = {"kind": "folder", "images": "i", "tags": "t", "masks": "m", "classes": ["cat"]}
        mine |= {"labelled": "all"} | ({"mask_values": values} if values else {})
        entries = BASE["masks"] | {"full": {"method": "full"}}
        experiments = ["digits / full / net", "digits / vanilla / cam / crf"]
        raw = {"datasets": {"digits": mine}, "masks": entries, "experiments": experiments}
        found = all_artifacts(build_experiments(parse_config(BASE | raw))).values()
        return {(a.stage, a.method): a.id for a in found}

    usual, others = ids(None), ids({0: "background", 255: "cat"})
    moved = {stage for stage, method in usual if usual[stage, method] != others[stage, method]}
    assert moved == {"masks", "segmenter", "predictions"}
    assert usual["masks", "crf"] == others["masks", "crf"]
    assert usual.keys() == others.keys()
