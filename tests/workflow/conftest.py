"""A small complete run of a copy of the workflow, made once; and dry runs of what would follow."""

import compileall
import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import sync_playwright

from tags2masks.workflow import sources
from tests.workflow.preloaded import python, serving

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("Snakefile", "rules", "workflow_scripts", "tags2masks", "slurm")

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)

NETWORK = {"name": "test_resnet", "output_stride": 8}
VIEWS = {"resize": [28, 36], "crop": 32, "flip": 0.5}

CONFIG = {
    "threads": 1,
    "datasets": {
        "digits": {
            "kind": "digits",
            "classes": ["zero", "one"],
            "train": 16,
            "val": 6,
            "ood": 2,
            "size": 32,
            "digit_size": [12, 18],
            "shards": 2,
        }
    },
    "classifiers": {
        "vanilla": {
            "method": "vanilla",
            "backbone": NETWORK,
            "augment": VIEWS,
            "epochs": 2,
            "batch_size": 8,
        }
    },
    "maps": {"cam": {"method": "cam", "scales": [1]}},
    "masks": {
        "threshold": {"method": "threshold", "background_score": 0.3},
        "crf": {"method": "crf", "background_score": 0.3, "iterations": 1},
    },
    "segmenters": {
        "net": {
            "method": "deeplabv3plus",
            "backbone": NETWORK,
            "augment": VIEWS,
            "epochs": 1,
            "batch_size": 8,
            "decoder_channels": 8,
        }
    },
    "experiments": ["digits / vanilla / cam / {threshold,crf} / net"],
    "evaluation": {"background_score": 0.3},
    "report": {"examples": 1},
}


class Project:
    """A copy of the workflow's sources in a folder, with a config of its own."""

    def __init__(self, folder: Path, config: dict):
        self.folder = folder
        self.configure(config)

    def configure(self, config: dict) -> None:
        """Write the config file."""
        self.config = config
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))

    def snakemake(self, *arguments: str, timeout: int = 580) -> subprocess.CompletedProcess:
        """Run the Snakemake of this environment there."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
        command = [*python(environment), "-m", "snakemake", "--cores", "2", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, text=True, capture_output=True,
            timeout=timeout, check=False,
        )  # fmt: skip

    def make(self, *arguments: str) -> str:
        """Run to a good end and return what was printed."""
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def would_run(self, *arguments: str) -> dict[str, int]:
        """The rules that a run now would execute, with their numbers of jobs; without `all`."""
        printed = self.make("--dry-run", *arguments)
        if "Nothing to be done" in printed:
            return {}
        table = printed.split("Job stats:")[1].split("total ")[0]
        jobs = re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
        return {rule: int(count) for rule, count in jobs if rule != "all"}

    def copied_to(self, folder: Path, *, results: bool = True, records: bool = False) -> "Project":
        """A copy elsewhere, with its results or not, with Snakemake's records or not."""
        copy_sources(self.folder, folder)
        wanted = ["results"] * results + [".snakemake"] * records
        for name in wanted:
            shutil.copytree(self.folder / name, folder / name)
        return Project(folder, yaml.safe_load((self.folder / "config.yaml").read_text()))


def copy_sources(project: Path, folder: Path) -> None:
    """Copy a project's sources to a folder, with what is kept of compiling and reading them."""
    for name in SOURCES:
        copy = shutil.copytree if (project / name).is_dir() else shutil.copy2
        copy(project / name, folder / name)


def fresh_project(folder: Path, config: dict) -> Project:
    """A project with the sources of this checkout and nothing made yet."""
    copy_sources(ROOT, folder)
    return Project(folder, config)


@pytest.fixture(scope="session", autouse=True)
def preloaded():
    """Runs of this session's tests start quickly, and find the sources compiled and read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.dont_write_bytecode", False)
        for package in sources.PACKAGES:
            compileall.compile_dir(ROOT / package, quiet=1)
        sources.source_digest(*sources._modules(ROOT))
    with serving() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The small run, finished. Tests may change its config, and must put it back.

    It is made once: of several test processes the first makes it, and each has a copy of its own.
    """
    folder = tmp_path_factory.mktemp("finished")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        project = fresh_project(folder, CONFIG)
        project.make()
        return project
    shared = tmp_path_factory.getbasetemp().parent / "finished"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "made").exists():
            shutil.rmtree(shared, ignore_errors=True)
            shared.mkdir()
            fresh_project(shared, CONFIG).make()
            (shared / "made").touch()
    return Project(shared, CONFIG).copied_to(folder, records=True)


@pytest.fixture
def copy(finished, tmp_path) -> Project:
    """A copy of the finished run with Snakemake's records, to do anything with."""
    return finished.copied_to(tmp_path, records=True)


@pytest.fixture(scope="session")
def browser():
    """A running Chromium; skips where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM} (Debian's package chromium)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield running
        running.close()
