"""Pixel masks reach evaluation and nothing else, in every config that comes with the project."""

import copy as copying
import itertools
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tags2masks.config.digits import MNIST_FILES
from tags2masks.config.methods import METHODS
from tags2masks.config.papers import INDEX
from tags2masks.config.project import parse_config
from tags2masks.workflow.artifacts import all_artifacts
from tags2masks.workflow.building import build_experiments
from tests.workflow.conftest import CONFIG, ROOT, fresh_project

# What may depend on pixel masks: figures, tables, and the page with the examples that it shows.
MEASURING = {
    "measure_classes",
    "measure_epochs",
    "measure_gradients",
    "measure_heads",
    "measure_instances",
    "measure_masks_instances",
    "measure_maps",
    "measure_objects",
    "measure_regions",
    "measure_labels",
    "measure_scores",
    "measure_steps",
    "report_page",
    "true_instances",
}
TABLES = {"collect", "correlate", "correlate_doubts", "group_classes", "sweep_table"}
# A walk that met none of these has walked nothing.
LEARNERS, OBJECTS = ("classifiers", "detectors", "segmenters"), ("maps", "masks", "instances")
EVALUATION = MEASURING | TABLES | {"examples", "all"}
TRUTH = re.compile(r"\w+_truth")
# Rules that make a file of supervision, by the word that config blocks have for it. Tags are in the
# index, which everything may read.
SOURCE_RULES = {
    "ood": re.compile(r"\w+_ood"),
    "boxes": re.compile(r"\w+_boxes"),
    "masks": re.compile(r"\w+_labelled"),
}
SHIPPED = [ROOT / "config.yaml", *sorted({*(ROOT / "papers").glob("*.yaml")} - {INDEX})]


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
            for name in filter(None, map(spec.get, ("train_annotations", "val_annotations"))):
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(
                    '{"images": [], "annotations": [{"segmentation": [[0]]}], "categories": []}'
                )
        for name in {"tags", "labels", "descriptions", "names"} & set(spec):
            spec[name] = str(empty)
    if "published" in config:
        config["published"] = str(empty)
    blocks = [*config.get("classifiers", {}).values(), *config.get("segmenters", {}).values()]
    blocks += config.get("detectors", {}).values()
    blocks += [block.get("affinity", {}) for block in config.get("masks", {}).values()]
    blocks += [block.get("network", {}) for block in config.get("objectness", {}).values()]
    for block in blocks:
        if block.get("backbone", {}).get("weights") not in (None, "pretrained"):
            block["backbone"]["weights"] = str(empty)
    for block in config.get("instances", {}).values():
        if "proposals" in block:
            block["proposals"] = str(folder)
    for block in config.get("objectness", {}).values():
        if "folder" in block:
            block["folder"] = str(folder)
    return config


class Jobs(NamedTuple):
    """The workflow's jobs: the rule of each by its number, the artifact of those that make one, and
    (job, job that needs it) pairs.
    """

    rules: dict[str, str]
    ids: dict[str, str]
    edges: list[tuple[str, str]]

    def after(self, numbers: set[str]) -> set[str]:
        """The jobs that need one of these directly."""
        return {later for earlier, later in self.edges if earlier in numbers} - numbers

    def reached(self, rule: re.Pattern) -> set[str]:
        """The jobs that some path leads to from a job of a rule of this name."""
        start = {number for number, name in self.rules.items() if rule.fullmatch(name)}
        found: set[str] = set()
        while new := self.after(start | found) - found:
            found |= new
        return found


def jobs_of(project) -> Jobs:
    """All jobs of a project, made or not."""
    done = project.snakemake("--dag", "dot", "--forceall")
    assert done.returncode == 0, done.stderr
    labels = re.findall(r'^\s*(\d+)\[label = "(\w+)([^"]*)', done.stdout, re.MULTILINE)
    rules = {number: rule for number, rule, _ in labels}
    ids = {n: found[1] for n, _, more in labels if (found := re.search(r"\\nid: ([\w-]+)", more))}
    return Jobs(rules, ids, re.findall(r"^\s*(\d+) -> (\d+)", done.stdout, re.MULTILINE))


def undeclared(jobs: Jobs, project) -> set[tuple[str, str]]:
    """(source, artifact) where an artifact's jobs are reached from supervision that it and what it
    is made from do not declare, or not from what they declare.
    """
    config = parse_config(yaml.safe_load((project.folder / "config.yaml").read_text()))
    artifacts = all_artifacts(build_experiments(config)).values()
    declared = {artifact.id: set(artifact.supervision) for artifact in artifacts}
    found = set()
    for source, rule in SOURCE_RULES.items():
        reached = jobs.reached(rule)
        for number, artifact in jobs.ids.items():
            known = jobs.rules[number] not in EVALUATION and artifact in declared
            if known and (number in reached) != (source in declared[artifact]):
                found.add((source, artifact))
    return found


def leaks(jobs: Jobs) -> set[str]:
    """The rules outside evaluation that some path leads to from a truth.csv."""
    rules = {jobs.rules[number] for number in jobs.reached(TRUTH)}
    assert "collect" in rules, "no data set with masks"
    return rules - EVALUATION


def test_the_jobs_are_read_right(finished):
    jobs = jobs_of(finished)
    made = {
        rule: {jobs.rules[earlier] for earlier, later in jobs.edges if later == number}
        for number, rule in jobs.rules.items()
    }
    assert made["digits_truth"] == {"digits", "digits_val", "describe"}
    assert made["measure_labels"] > {"digits", "digits_truth"}
    assert made["vanilla"] == {"digits", "digits_val"}  # that of val comes before, see methods.smk
    assert made["cam"] == {"digits", "vanilla"}
    assert set(made) >= {"vanilla", "cam", "threshold", "crf", "deeplabv3plus", "collect"}


@pytest.mark.parametrize("shipped", SHIPPED, ids=[path.name for path in SHIPPED])
def test_no_path_leads_from_truth_to_a_model_a_map_or_a_mask(tmp_path, shipped):
    config = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    project = fresh_project(tmp_path, stand_ins(config, tmp_path))
    jobs = jobs_of(project)
    assert leaks(jobs) == set()
    assert undeclared(jobs, project) == set()
    truth = {number for number, rule in jobs.rules.items() if TRUTH.fullmatch(rule)}
    assert {jobs.rules[number] for number in jobs.after(truth)} <= MEASURING
    for stages in LEARNERS, OBJECTS:
        assert any(set(METHODS[stage]) & set(jobs.rules.values()) for stage in stages)


def given(project, stage: str, file: str) -> None:
    """Give the rules of a stage a further input."""
    path = project.folder / "rules" / "methods.smk"
    text = path.read_text(encoding="utf-8")
    further = f"                further=[{file!r}] if stage.name == {stage!r} else [],\n"
    plain = "                unpack(plan.inputs(stage)),\n"
    assert plain in text
    path.write_text(text.replace(plain, plain + further), encoding="utf-8")


@pytest.mark.parametrize(
    ("stage", "leaked"),
    [
        ("masks", {"threshold", "crf", "deeplabv3plus", "predictions"}),
        ("classifier", {"vanilla", "cam", "threshold", "deeplabv3plus"}),
    ],
)
def test_a_rule_that_is_given_truth_is_found(tmp_path, stage, leaked):
    project = fresh_project(tmp_path, CONFIG)
    given(project, stage, "results/{dataset}/truth.csv")
    assert leaks(jobs_of(project)) >= leaked


def with_instances() -> dict:
    """The small config with a chain from boxes, and one whose masks have instances."""
    config = copying.deepcopy(CONFIG)
    config["instances"] = {"boxcrf": {"method": "boxcrf"}}
    config["masks"]["irn"] = {"method": "irn", "instances": True}
    config["experiments"] += ["digits / boxcrf / net", "digits / vanilla / cam / irn"]
    return config


def test_true_instances_are_for_evaluation_alone(tmp_path):
    project = fresh_project(tmp_path, with_instances())
    jobs = jobs_of(project)
    assert leaks(jobs) == set() and undeclared(jobs, project) == set()
    true = {number for number, rule in jobs.rules.items() if rule == "true_instances"}
    assert len(true) == 2 and true <= jobs.reached(TRUTH)
    after = {jobs.rules[number] for number in jobs.after(true)}
    assert after == {"measure_instances", "measure_masks_instances"}
    given(project, "instances", "results/{dataset}/true_instances/0.zarr.zip")
    assert leaks(jobs_of(project)) >= {"boxcrf", "semantic", "deeplabv3plus", "predictions"}


def test_figures_of_instances_given_to_a_method_are_found(tmp_path):
    project = fresh_project(tmp_path, with_instances())
    (found,) = {a.id for a in artifacts_of(with_instances()) if a.stage == "instances"}
    given(project, "segmenter", f"results/{{dataset}}/instances/{found}/metrics.csv")
    assert leaks(jobs_of(project)) >= {"deeplabv3plus", "predictions"}


def test_measured_figures_given_to_a_method_are_found(tmp_path):
    project = fresh_project(tmp_path, CONFIG)
    (maps,) = {a.id for a in artifacts_of(CONFIG) if a.stage == "maps"}
    given(project, "masks", f"results/{{dataset}}/maps/{maps}/curve.csv")
    assert leaks(jobs_of(project)) >= {"threshold", "deeplabv3plus", "predictions"}


def test_what_is_said_without_masks_is_said_without_masks(tmp_path):
    config = copying.deepcopy(CONFIG) | {"report": {"sheets": "all"}}
    config["datasets"]["digits"]["labelled"] = 4
    config["masks"]["full"] = {"method": "full"}
    config["experiments"].append("digits / full")
    project = fresh_project(tmp_path, config)
    jobs = jobs_of(project)
    looks = {"measure_plausibility", "collect_plausibility", "contact_sheet"}
    assert looks <= set(jobs.rules.values()) and not looks & EVALUATION
    assert leaks(jobs) == set()
    # True masks are compared with others, and these not with them.
    assert undeclared(jobs, project) == set()
    path = project.folder / "rules" / "plausibility.smk"
    text, plain = path.read_text(encoding="utf-8"), "        others=plan.other_masks,\n"
    assert text.count(plain) == 1
    further = '        truth="results/{dataset}/truth.csv",\n'
    path.write_text(text.replace(plain, plain + further), encoding="utf-8")
    assert leaks(jobs_of(project)) == looks


@pytest.mark.parametrize(
    ("source", "file"), [("ood", "ood.csv"), ("boxes", "boxes.csv"), ("masks", "labelled.csv")]
)
def test_a_method_that_reads_what_it_does_not_declare_is_found(tmp_path, source, file):
    config = copying.deepcopy(CONFIG)
    config["datasets"]["digits"]["labelled"] = 4
    project = fresh_project(tmp_path, config)
    assert undeclared(jobs_of(project), project) == set()
    given(project, "maps", f"results/{{dataset}}/{file}")
    reached = {a.id for a in artifacts_of(config) if a.stage not in ("classifier",)}
    assert undeclared(jobs_of(project), project) == {(source, artifact) for artifact in reached}


def artifacts_of(config: dict) -> list:
    """All artifacts of a config."""
    return list(all_artifacts(build_experiments(parse_config(config))).values())
