"""Pixel masks reach evaluation and nothing else, in every config that comes with the project."""

import copy as copying
import itertools
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tags2masks.config.classifiers import METHODS as CLASSIFIERS
from tags2masks.config.datasets import MNIST_FILES
from tests.workflow.conftest import CONFIG, ROOT, fresh_project

# What may depend on pixel masks: figures, tables, and the page with the examples that it shows.
MEASURING = {
    "measure_classes",
    "measure_epochs",
    "measure_maps",
    "measure_labels",
    "measure_scores",
    "measure_steps",
    "report_page",
}
EVALUATION = MEASURING | {"collect", "correlate", "sweep_table", "examples", "all"}
TRUTH = re.compile(r"\w+_truth")
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
            (folder / "SegmentationClass").mkdir(exist_ok=True)
            for name in ("train", "val", spec.get("train_list"), spec.get("val_list")):
                (lists / f"{name}.txt").touch()
            for name in itertools.chain(*MNIST_FILES.values()):
                (folder / name).touch()
        if "tags" in spec:
            spec["tags"] = str(empty)
    if "published" in config:
        config["published"] = str(empty)
    blocks = [*config.get("classifiers", {}).values(), *config.get("segmenters", {}).values()]
    blocks += [block.get("affinity", {}) for block in config.get("masks", {}).values()]
    for block in blocks:
        if block.get("backbone", {}).get("weights") not in (None, "pretrained"):
            block["backbone"]["weights"] = str(empty)
    return config


class Jobs(NamedTuple):
    """The workflow's jobs: the rule of each by its number, and (job, job that needs it) pairs."""

    rules: dict[str, str]
    edges: list[tuple[str, str]]

    def after(self, numbers: set[str]) -> set[str]:
        """The jobs that need one of these directly."""
        return {later for earlier, later in self.edges if earlier in numbers} - numbers


def jobs_of(project) -> Jobs:
    """All jobs of a project, made or not."""
    done = project.snakemake("--dag", "dot", "--forceall")
    assert done.returncode == 0, done.stderr
    rules = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)', done.stdout, re.MULTILINE))
    return Jobs(rules, re.findall(r"^\s*(\d+) -> (\d+)", done.stdout, re.MULTILINE))


def leaks(jobs: Jobs) -> set[str]:
    """The rules outside evaluation that some path leads to from a truth.csv."""
    tainted = {number for number, rule in jobs.rules.items() if TRUTH.fullmatch(rule)}
    assert tainted, "no data set with masks"
    reached: set[str] = set()
    while new := jobs.after(tainted | reached) - reached:
        reached |= new
    rules = {jobs.rules[number] for number in reached}
    assert "collect" in rules
    return rules - EVALUATION


def test_the_jobs_are_read_right(finished):
    jobs = jobs_of(finished)
    made = {
        rule: {jobs.rules[earlier] for earlier, later in jobs.edges if later == number}
        for number, rule in jobs.rules.items()
    }
    assert made["digits_truth"] == {"digits", "describe"}
    assert made["measure_labels"] > {"digits", "digits_truth"}
    assert made["cam"] == {"digits", "vanilla"}
    assert set(made) >= {"vanilla", "cam", "threshold", "crf", "deeplabv3plus", "collect"}


@pytest.mark.parametrize("shipped", SHIPPED, ids=[path.name for path in SHIPPED])
def test_no_path_leads_from_truth_to_a_model_a_map_or_a_mask(tmp_path, shipped):
    config = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    jobs = jobs_of(fresh_project(tmp_path, stand_ins(config, tmp_path)))
    assert leaks(jobs) == set()
    truth = {number for number, rule in jobs.rules.items() if TRUTH.fullmatch(rule)}
    assert {jobs.rules[number] for number in jobs.after(truth)} <= MEASURING
    assert set(CLASSIFIERS) & set(jobs.rules.values()) and "cam" in jobs.rules.values()


@pytest.mark.parametrize(
    ("file", "rule", "leaked"),
    [
        ("masks.smk", "threshold", {"threshold", "crf", "deeplabv3plus", "predictions"}),
        ("classifiers.smk", "vanilla", {"vanilla", "cam", "threshold", "deeplabv3plus"}),
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
    assert leaks(jobs_of(project)) >= leaked


def test_measured_figures_given_to_a_method_are_found(tmp_path):
    project = fresh_project(tmp_path, CONFIG)
    path = tmp_path / "rules" / "masks.smk"
    given = path.read_text(encoding="utf-8").replace(
        "        maps=plan.upstream",
        '        curve=plan.upstream("masks", "maps", "curve.csv"),\n        maps=plan.upstream',
        1,
    )
    path.write_text(given, encoding="utf-8")
    assert leaks(jobs_of(project)) >= {"threshold", "deeplabv3plus", "predictions"}
