"""The papers behind what a chain uses."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from tags2masks.__main__ import main
from tags2masks.config.analyses import Landscape
from tags2masks.config.datasets import KINDS
from tags2masks.config.growing import Growing
from tags2masks.config.instances import BoxMask
from tags2masks.config.methods import METHODS
from tags2masks.config.training import Backbone
from tags2masks.references import references

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = {name: block for methods in METHODS.values() for name, block in methods.items()}
WITHOUT_A_PAPER = {
    "boxfill",
    "few_masks",
    "folder",
    "full",
    "given",
    "mean",
    "pooled",
    "predicted",
    "separation",
    "threshold",
    "tiled",
    "untagged",
    "vote",
}


def test_every_method_and_data_set_names_papers_that_are_listed():
    known = references()
    for name, block in {**BLOCKS, **KINDS}.items():
        assert set(block.cites) <= set(known), name
        assert bool(block.cites) == (name not in WITHOUT_A_PAPER), name


def test_every_reference_is_of_something():
    blocks = [*BLOCKS.values(), *KINDS.values(), Growing, Landscape]
    named = {key for block in blocks for key in block.cites}
    named |= {*Backbone(name="resnet38d").cited(), *BoxMask(proposals="mcg").cited()}
    assert named == set(references())
    assert "felzenszwalb2004superpixel" in BoxMask(superpixels=(50,)).cited()


def test_the_citation_file_has_the_same_references():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    listed = {one["notes"].partition(":")[0]: one for one in cff["references"]}
    assert set(listed) == set(references())
    for key, entry in references().items():
        assert str(listed[key]["year"]) == re.search(r"year\s*= \{(\d+)\}", entry)[1], key
        title = re.search(r"title\s*= \{(.*)\}", entry)[1]
        assert listed[key]["title"] == title.replace("{", "").replace("}", ""), key


CONFIG = {
    "datasets": {"d": {"kind": "digits"}},
    "classifiers": {
        "vanilla": {"method": "vanilla"},
        "hidden": {"method": "occse", "backbone": {"name": "resnet38d"}},
    },
    "maps": {"lp": {"method": "lpcam"}},
    "masks": {"walk": {"method": "irn", "crf": {}}},
    "segmenters": {"net": {"method": "deeplabv2", "test": {"crf": None}, "growing": {}}},
    "experiments": ["d / hidden / lp / walk / net"],
}


def test_a_chains_papers_are_printed(tmp_path, monkeypatch, capsys):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    arguments = ["tags2masks", "cite", "d / hidden / lp / walk / net", "--configfile", str(file)]
    monkeypatch.setattr(sys, "argv", arguments)
    main()
    keys = re.findall(r"^@\w+\{(\w+),", capsys.readouterr().out, re.MULTILINE)
    assert sorted(keys) == [
        "ahn2019irn", "alpaydin1998digits", "chen2018deeplabv2", "chen2023lpcam", "huang2018dsrg",
        "kolesnikov2016sec", "krahenbuhl2011crf", "kweon2021occse", "wu2019resnet38", "zhou2016cam",
    ]  # fmt: skip


def test_an_unknown_experiment_is_told(tmp_path, monkeypatch):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["tags2masks", "cite", "d/x", "--configfile", str(file)])
    with pytest.raises(SystemExit, match="error: no experiment 'd/x'"):
        main()
