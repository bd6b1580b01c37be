"""Pixel masks reach evaluation and nothing else, in every config that comes with the project."""

import copy as copying
import re
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import CONFIG, ROOT, fresh_project

EVALUATION = {"measure_maps", "measure_labels", "report_page"}
LEARNED = re.compile(
    r"model\.safetensors|spec\.json|/(maps|masks|predictions|prototypes|affinity)/[^/]+/[^/]+\.zarr"
)
SHIPPED = [ROOT / "config.yaml", *sorted((ROOT / "papers").glob("*.yaml"))]


def stand_ins(config: dict, folder: Path) -> dict:
    """The config with empty files in place of data and weights that are not here."""
    config = copying.deepcopy(config)
    empty = folder / "empty"
    empty.touch()
    for spec in config["datasets"].values():
        if "root" in spec:
            spec["root"] = str(folder)
            lists = folder / "ImageSets" / "Segmentation"
            lists.mkdir(parents=True, exist_ok=True)
            for name in ("train", "val", spec.get("train_list"), spec.get("val_list")):
                (lists / f"{name}.txt").touch()
        if "tags" in spec:
            spec["tags"] = str(empty)
    for section in ("classifiers", "segmenters"):
        for block in config.get(section, {}).values():
            if block.get("backbone", {}).get("weights") not in (None, "pretrained"):
                block["backbone"]["weights"] = str(empty)
    return config


def edges(project) -> list[tuple[str, str, set[str]]]:
    """(file, rule that makes it, the files that it is made from) of everything in the workflow."""
    done = project.snakemake("--detailed-summary", "--forceall")
    assert done.returncode == 0, done.stderr
    header, *lines = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    rule, inputs = header.index("rule"), header.index("input-file(s)")
    return [(line[0], line[rule], set(line[inputs].split(","))) for line in lines]


def leaks(files: list[tuple[str, str, set[str]]]) -> list[str]:
    """The models, maps and masks that some path leads to from a truth.csv."""
    tainted = {file for file, _, _ in files if file.endswith("/truth.csv")}
    assert tainted, "no data set with masks"
    while new := {file for file, _, inputs in files if tainted & inputs} - tainted:
        tainted |= new
    assert "results/metrics.csv" in tainted
    return sorted(file for file in tainted if LEARNED.search(file))


def test_the_summary_is_read_right(finished):
    files = edges(finished)
    made = {rule: inputs for _, rule, inputs in files}
    assert made["digits_truth"] == {
        "results/digits/classes.txt",
        "results/digits/index.csv",
        next(file for file, rule, _ in files if rule == "describe" and "/truth-" in file),
    }
    assert set(made) >= EVALUATION | {"vanilla", "cam", "threshold", "crf", "deeplabv3plus"}


@pytest.mark.parametrize("shipped", SHIPPED, ids=[path.name for path in SHIPPED])
def test_no_path_leads_from_truth_to_a_model_a_map_or_a_mask(tmp_path, shipped):
    config = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    files = edges(fresh_project(tmp_path, stand_ins(config, tmp_path)))
    readers = {rule for _, rule, i in files if any(name.endswith("/truth.csv") for name in i)}
    assert readers <= EVALUATION
    assert leaks(files) == []
    assert any(LEARNED.search(file) for file, _, _ in files)


@pytest.mark.parametrize(
    ("file", "rule", "leaked"),
    [
        ("masks.smk", "threshold", "masks/threshold-"),  # straight
        ("classifiers.smk", "vanilla", "maps/cam-"),  # and what is made from it
    ],
)
def test_a_rule_that_is_given_truth_is_found(tmp_path, file, rule, leaked):
    project = fresh_project(tmp_path, CONFIG)
    path = tmp_path / "rules" / file
    text = path.read_text(encoding="utf-8")
    given = text.replace(
        f"rule {rule}:\n    input:\n", f"rule {rule}:\n    input:\n        truth=TRUTH,\n", 1
    )
    assert given != text
    path.write_text(given, encoding="utf-8")
    assert any(leaked in found for found in leaks(edges(project)))


def test_measured_figures_given_to_a_method_are_found(tmp_path):
    project = fresh_project(tmp_path, CONFIG)
    path = tmp_path / "rules" / "masks.smk"
    given = path.read_text(encoding="utf-8").replace(
        "        maps=plan.upstream",
        '        curve=plan.upstream("masks", "maps", "curve.csv"),\n        maps=plan.upstream',
        1,
    )
    path.write_text(given, encoding="utf-8")
    assert any("masks/threshold-" in found for found in leaks(edges(project)))
