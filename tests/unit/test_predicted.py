"""Masks that another chain's segmenter predicts, and entries that name chains."""

import copy

import numpy as np
import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.masks import Predicted
from tags2masks.config.project import parse_config
from tags2masks.masks.predicted import make_mask
from tags2masks.workflow.artifacts import all_artifacts
from tags2masks.workflow.building import build_experiments

OF = "vanilla/cam/crf/net"
# Background and classes 1 to 3 of four pixels.
SHARES = np.array(
    [[[0.1, 0.5, 0.3, 0.0]], [[0.2, 0.4, 0.1, 0.0]], [[0.6, 0.1, 0.6, 1.0]], [[0.1, 0, 0, 0]]],
    np.float32,
)
IMAGE = np.zeros((1, 4, 3), np.uint8)


def made(ids, **options):
    return make_mask(IMAGE, SHARES, ids, Predicted(of=OF, **options)).tolist()[0]


def test_only_tagged_classes_are_possible():
    assert made([1, 2], tags=False) == [2, 0, 2, 2]
    assert made([1], tags=False) == [2, 0, 2, 2]
    # Of background and class 1: 1/3 and 2/3, 5/9 and 4/9, 3/4 and 1/4, and nothing: background.
    assert made([1]) == [1, 0, 0, 0]
    assert made([]) == [0, 0, 0, 0]


def test_unsure_pixels_are_ignored():
    assert made([1], confidence=0.6) == [1, 255, 0, 0]
    assert made([1], confidence=0.7) == [255, 255, 0, 0]  # their shares are of what is possible
    assert made([1, 2], tags=False, confidence=0.6) == [2, 255, 2, 2]  # 0.6 is not below 0.6


def test_a_crf_is_on_the_probabilities_that_are_left():
    image = np.zeros((1, 20, 3), np.uint8)
    image[:, 10:] = 255
    shares = np.zeros((3, 1, 20), np.float32)
    shares[1, 0, :10], shares[0, 0, 10:] = 0.4, 0.6
    shares[2] = 0.3  # not tagged
    shares[0, 0, 4], shares[1, 0, 4] = 0.4, 0.3  # a speck
    plain = make_mask(image, shares, [1], Predicted(of=OF))
    refined = make_mask(image, shares, [1], Predicted(of=OF, inference={"crf": {}}))
    assert plain[0].tolist() == [1] * 4 + [0] + [1] * 5 + [0] * 10
    assert refined[0].tolist() == [1] * 10 + [0] * 10


BASE = {
    "datasets": {"digits": {"kind": "digits", "labelled": 4}, "other": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}},
    "masks": {
        "crf": {"method": "crf"},
        "full": {"method": "full"},
        "round1": {"method": "predicted", "of": "vanilla / cam / crf / net"},
        "round2": {"method": "predicted", "of": "round1/net", "confidence": 0.5},
    },
    "segmenters": {"net": {"method": "deeplabv3plus"}},
    "experiments": ["digits / round2 / net"],
}


def changed(**masks):
    config = copy.deepcopy(BASE)
    for name, values in masks.items():
        config["masks"][name] |= values
    return config


def test_rounds_are_made_of_the_chains_that_they_name():
    (experiment,) = build_experiments(parse_config(BASE))
    assert list(experiment.artifacts) == ["masks", "segmenter", "predictions"]
    second = experiment.artifacts["masks"]
    first = second.upstream["segmenter"].upstream["masks"]
    start = first.upstream["segmenter"].upstream["masks"]
    assert (second.method, first.method, start.method) == ("predicted", "predicted", "crf")
    assert "of" not in second.recipe["spec"] and second.recipe["spec"]["confidence"] == 0.5
    assert second.supervision == ("tags",)
    stages = [stage for _, stage, _ in all_artifacts([experiment])]
    assert stages.count("segmenter") == 3 and stages.count("classifier") == 1
    # The entries' names are in no id, but what they stand for is.
    config = copy.deepcopy(BASE)
    config["masks"]["start"] = config["masks"].pop("crf")
    config["masks"]["round1"]["of"] = "vanilla/cam/start/net"
    assert build_experiments(parse_config(config))[0].artifacts["masks"].id == second.id
    config["masks"]["start"] |= {"iterations": 3}
    assert build_experiments(parse_config(config))[0].artifacts["masks"].id != second.id


def test_supervision_is_that_of_the_named_chain():
    (experiment,) = build_experiments(parse_config(changed(round1={"of": "full/net"})))
    assert experiment.artifacts["masks"].supervision == ("tags", "masks")


def test_a_round_cannot_be_made_of_itself():
    said = r"masks\.round1\.of: 'round2/net' goes through masks\.round2, which is itself made"
    with pytest.raises(ConfigError, match=said):
        build_experiments(parse_config(changed(round1={"of": "round2/net"})))
    config = changed()
    config["masks"]["round1"].pop("of")
    with pytest.raises(ConfigError, match=r"masks\.round1\.of: missing; add it"):
        parse_config(config)
