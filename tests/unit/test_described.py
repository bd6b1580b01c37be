"""What a data set is made from, written down in files that are named by their content."""

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tags2masks.config.base import ConfigError
from tags2masks.workflow import described, ids, started
from tags2masks.workflow.plan import Plan

TABLE = b"image,tags,split\na.png,cat,train\n"
RAW = {
    "datasets": {
        "pets": {"kind": "folder", "images": "photos", "tags": "tags.csv"},
        "cats": {"kind": "folder", "images": "photos", "tags": "tags.csv", "shards": 2},
    },
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "experiments": ["{pets,cats} / vanilla"],
}
PETS = SimpleNamespace(dataset="pets")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with the table of tags, and a run that begins there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(started.VARIABLE, "{}")
    Path("tags.csv").write_bytes(TABLE)
    started.begin(is_main=True)
    yield
    started.begin(is_main=True)


def test_a_description_holds_the_content_of_the_table_and_names_its_file():
    plan = Plan(RAW)
    written = plan.description("dataset", "pets")
    assert json.loads(written) == {
        "seed": 0,
        "dataset": {"kind": "folder", "classes": None},
        "shards": 1,
        "tables": {"tags.csv": hashlib.sha256(TABLE).hexdigest()[:8]},
    }
    digits = hashlib.sha256(written.encode()).hexdigest()[:8]
    assert plan.description_files[0] == f"results/pets/dataset-{digits}.json"
    assert plan.described("dataset")(PETS) == plan.description_files[0]


def test_a_table_is_read_once_by_a_plan_and_again_by_the_next(monkeypatch):
    read = []
    digest_of = ids.file_digest
    monkeypatch.setattr(described, "file_digest", lambda path: read.append(path) or digest_of(path))
    plan = Plan(RAW)
    for _ in range(2):
        before = plan.description_files
        plan.described("dataset")(PETS)
    assert read == ["tags.csv"]
    Path("tags.csv").write_bytes(TABLE + b"b.png,dog,train\n")
    after = Plan(RAW).description_files
    assert read == ["tags.csv"] * 2
    assert not set(before) & set(after)


def test_a_job_refuses_a_table_that_was_edited_after_its_run_began():
    Plan(RAW).described("dataset")(PETS)
    begun = os.environ[started.VARIABLE]
    started.begin(is_main=False)
    Plan(RAW).described("dataset")(PETS)
    Path("tags.csv").write_bytes(b"image,tags,split\n")
    assert os.environ[started.VARIABLE] == begun
    line = r"^datasets\.pets of the config, its table, or the seed was edited after this run began"
    with pytest.raises(ConfigError, match=line):
        Plan(RAW).described("dataset")(PETS)


def test_no_param_closes_a_script_of_snakemakes_report():
    """`snakemake --report` writes params into its page as they are."""
    name = "</script><script>alert(1)</script>&amp;"
    pets = RAW["datasets"]["pets"] | {"classes": ["cat", name]}
    cam = {"maps": {"cam": {"method": "cam"}}, "experiments": ["pets / vanilla / cam"]}
    plan = Plan(RAW | {"datasets": {"pets": pets}} | cam)
    artifact = plan.of_stage("maps")[0]
    wildcards = SimpleNamespace(dataset="pets", id=artifact.id)
    params = [
        plan.recipe("maps")(wildcards),
        plan.dataset_recipe(wildcards),
        plan.truth_recipe(wildcards),
        plan.labelled_recipe(wildcards),
        plan.all_roots(wildcards, None),
    ]
    for text in params:
        assert not set(text) & set("<>&")
        assert name in str(json.loads(text))
    assert json.loads(params[0]) == artifact.recipe
