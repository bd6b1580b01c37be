"""Boxes and masks to learn from: files of their own, which truth.csv has no part in."""

import copy as copying

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG, fresh_project
from tests.workflow.test_supervision import jobs_of

MASKS = ("full", "threshold")


def behind(jobs, rule):
    """The rules of all jobs that the jobs of a rule need, directly or not."""
    reached = {number for number, name in jobs.rules.items() if name == rule}
    assert reached
    while new := {earlier for earlier, later in jobs.edges if later in reached} - reached:
        reached |= new
    return {jobs.rules[number] for number in reached} - {rule}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A run up to the masks: four true ones, and pseudo-masks of all training images."""
    config = copying.deepcopy(CONFIG)
    config["datasets"]["digits"]["labelled"] = 4
    config["masks"]["full"] = {"method": "full"}
    config["experiments"] = ["digits / full / net", "digits / vanilla / cam / threshold"]
    project = fresh_project(tmp_path_factory.mktemp("labelled"), config)
    project.make("--until", *MASKS)
    project.make("results/digits/boxes.csv", "results/digits/val-boxes.csv")
    return project, config


def test_what_learns_from_masks_reads_them_from_their_own_table(labelled):
    project, _ = labelled
    table = pd.read_csv(project.folder / "results/digits/labelled.csv")
    assert len(table) == 4
    assert all(mask.startswith("labelled/masks/") for mask in table["mask"])
    assert all((project.folder / "results/digits" / mask).is_file() for mask in table["mask"])
    jobs = jobs_of(project)
    assert behind(jobs, "digits_labelled") == {"digits", "describe"}
    assert behind(jobs, "full") == {"digits_labelled", "digits", "describe"}
    assert not {"digits_labelled", "digits_truth"} & behind(jobs, "threshold")


def test_other_labelled_images_make_anew_what_learns_from_masks_alone(labelled):
    project, config = labelled
    assert project.would_run("--until", *MASKS) == {}
    changed = copying.deepcopy(config)
    changed["datasets"]["digits"]["labelled"] = 6
    project.configure(changed)
    try:
        planned = project.would_run("--until", *MASKS)
    finally:
        project.configure(config)
    assert planned == {"describe": 1, "digits_labelled": 1, "full": 2}


def test_boxes_are_those_of_a_split(labelled):
    project, _ = labelled
    for split, name in (("train", "boxes"), ("val", "val-boxes")):
        boxes = pd.read_csv(project.folder / f"results/digits/{name}.csv")
        index = pd.read_csv(project.folder / f"results/digits/{split}.csv")
        assert set(boxes["image"]) == set(index["image"])
        assert set(boxes["class"]) == {"zero", "one"}
