"""The wheel: installed alone, away from any clone, `tags2masks run` does what a clone does."""

import copy as copying
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires

import pytest
import torch
import torchvision
import yaml
from PIL import Image

from tags2masks.workflow.checkout import EXAMPLES
from tests.workflow.conftest import CONFIG, ROOT
from tests.workflow.installed import Installation

EXPERIMENT = "digits/vanilla/cam/threshold"
TINY = copying.deepcopy(CONFIG) | {"device": "cpu", "experiments": [EXPERIMENT]}
# What a run's records and reruns hang on: ids, and digests of the sources of each program.
DIGESTS = """
import json, sys
from pathlib import Path
import yaml
from tags2masks.config.methods import METHODS
from tags2masks.config.project import parse_config
from tags2masks.stages import STAGES
from tags2masks.workflow.artifacts import all_artifacts
from tags2masks.workflow.building import build_experiments
from tags2masks.workflow.sources import ROOT, module_path, source_digest

ids = {}
for file in sys.argv[1:]:
    config = parse_config(yaml.safe_load(Path(file).read_text(encoding="utf-8")))
    ids[Path(file).name] = sorted(map(str, all_artifacts(build_experiments(config))))
programs = sorted(p.stem for p in (ROOT / "workflow_scripts").glob("[a-z]*.py"))
methods = sorted({
    f"tags2masks.{folder.name}.{file.stem}"
    for folder in (ROOT / "tags2masks").iterdir() for file in folder.glob("[a-z]*.py")
})
digests = {name: source_digest(f"workflow_scripts.{name}") for name in programs}
digests |= {name: source_digest(name) for name in methods}
print(json.dumps({"root": str(ROOT), "ids": ids, "digests": digests}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installed"))


def test_a_run_outside_a_clone_is_planned(installed, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TINY))
    done = installed.run(tmp_path, "tags2masks", "run", "mine.yaml", "--dry-run")
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", printed, re.MULTILINE))
    assert (jobs["vanilla"], jobs["cam"], jobs["threshold"]) == ("1", "2", "2")
    assert not (tmp_path / "results").exists()


def test_arguments_and_targets_are_snakemakes(installed, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TINY))
    given = ("results/digits/train.csv", "-n", "--cores", "3")
    printed = installed.run(tmp_path, "tags2masks", "run", "mine.yaml", *given).stdout
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", printed, re.MULTILINE))
    assert jobs == {"describe": "1", "digits": "1", "total": "2"}


def test_configs_and_profile_come_along(installed, tmp_path):
    done = installed.run(tmp_path, "tags2masks", "run", "config.yaml", "--dry-run", "--quiet")
    assert done.stderr.startswith("no config.yaml in this folder: the demo's is used\n")
    assert done.returncode == 0, done.stderr

    printed = installed.run(tmp_path, "tags2masks", "examples").stdout
    assert printed.split() == list(EXAMPLES)
    for name in EXAMPLES:
        files = [ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*.*")
        for file in files:
            if file.is_file():
                assert (tmp_path / file.relative_to(ROOT)).read_bytes() == file.read_bytes()
    # The profile needs no cores; a config of a paper finds its published figures.
    paper = ("run", "papers/hosts-digits.yaml", "--profile", "slurm", "--dry-run", "--quiet")
    done = installed.run(tmp_path, "tags2masks", *paper)
    assert done.returncode == 0, done.stdout + done.stderr
    done = installed.run(tmp_path, "tags2masks", "examples")
    assert done.returncode == 1
    assert done.stderr == (
        "error: config.yaml, papers, slurm: already here; rename it, or use an empty folder\n"
    )


def test_a_first_config_names_the_schema_that_comes_along(installed, tmp_path):
    for number in range(6):
        photo = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (40 * number, 90, 9)).save(photo)
    done = installed.run(tmp_path, "tags2masks", "init", "photos")
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "config.yaml").read_text().splitlines()[0]
    schema = tmp_path / first.removeprefix("# yaml-language-server: $schema=")
    assert schema.read_bytes() == (ROOT / "docs/config.schema.json").read_bytes()


def test_a_clone_in_the_working_directory_is_not_mixed_in(installed, tmp_path):
    (tmp_path / "tags2masks").mkdir()
    (tmp_path / "tags2masks/__init__.py").write_text("raise RuntimeError('the other one')\n")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TINY))
    done = installed.run(tmp_path, "tags2masks", "run", "mine.yaml", "--dry-run", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_torch_that_does_not_fit_is_refused(installed, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TINY))
    other = installed.packages / "torch"
    other.mkdir()
    try:
        (other / "__init__.py").touch()
        (other / "version.py").write_text("__version__ = '1.0.0'\n")
        done = installed.run(tmp_path, "tags2masks", "run", "mine.yaml")
    finally:
        shutil.rmtree(other)
    assert done.returncode == 1
    pin = next(line for line in requires("torchvision") if line.startswith("torch"))
    assert done.stderr == (
        f"error: torch 1.0.0 and torchvision {torchvision.__version__} do not fit together: this "
        f"torchvision is built for torch {re.search('[0-9.]+', pin)[0]}; install both together, "
        "see docs/install.md, 'Your own torch'\n"
    )
    assert not (tmp_path / "results").exists()


def test_the_plan_is_that_of_a_clone(installed, tmp_path):
    configs = [str(ROOT / "config.yaml"), *map(str, sorted((ROOT / "papers").glob("*digits.yaml")))]
    outside = json.loads(installed.run(tmp_path, "python", "-c", DIGESTS, *configs).stdout)
    inside = json.loads(
        subprocess.run(
            [sys.executable, "-c", DIGESTS, *configs], cwd=ROOT, text=True, capture_output=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=120, check=True,
        ).stdout
    )  # fmt: skip
    assert (inside.pop("root"), outside.pop("root")) == (str(ROOT), str(installed.packages))
    assert len(inside["ids"]) > 8 and all(inside["ids"].values())
    assert len(inside["digests"]) > 200
    assert outside == inside


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_run_outside_a_clone(installed, tmp_path):
    """The whole run; and a clone's `snakemake` finds nothing to do there."""
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TINY))
    done = installed.run(tmp_path, "tags2masks", "run", "mine.yaml", timeout=1400)
    assert done.returncode == 0, done.stdout + done.stderr
    # Once: not again by the jobs.
    assert re.findall(r"^torch .*$", done.stdout + done.stderr, re.MULTILINE) == [
        f"torch {torch.__version__}, torchvision {torchvision.__version__}; device: cpu"
    ]
    assert EXPERIMENT in (tmp_path / "results/report.html").read_text(encoding="utf-8")
    rows = (tmp_path / "results/leaderboard.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows[1:]] == [EXPERIMENT]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--dry-run",
         "--configfile", "mine.yaml"],
        cwd=tmp_path, text=True, capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    assert "Nothing to be done" in done.stdout + done.stderr
