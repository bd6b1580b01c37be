"""After whatever befell a run: the same bytes in the end, or one clear line; never wrong figures.

Kills at random moments are in tests/kills.py.
"""

import copy as copying
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.kills import artifacts, differences, half_written
from tests.workflow.conftest import CONFIG, Project
from tests.workflow.preloaded import alone
from tests.workflow.test_bad_input import folder_project, photo, run_badly
from tests.workflow.test_reruns import END, EVERYTHING, OUTLINE, changed

pytestmark = pytest.mark.slow

# Imported by every Python that is started with it on its path: kills it when it is about to give
# a file this name.
KILLER = """
import os, signal, sys

def hook(event, arguments):
    if event == "os.rename" and os.path.basename(os.fspath(arguments[1])) == os.environ["KILL_AT"]:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
"""


@pytest.fixture(scope="module")
def expected(finished) -> dict[str, bytes]:
    """Every file of the undisturbed run."""
    return artifacts(finished.folder / "results")


@pytest.fixture
def killed_at(tmp_path_factory):
    """A function that runs a project whose job is killed when it would put a file in its place."""

    def run(project: Project, name: str, *arguments: str) -> str:
        folder = tmp_path_factory.mktemp("killer")
        (folder / "sitecustomize.py").write_text(KILLER)
        with pytest.MonkeyPatch.context() as patch:
            for started_quickly in set(os.environ) - set(alone(os.environ)):
                patch.delenv(started_quickly)
            patch.setenv("PYTHONPATH", str(folder))
            patch.setenv("KILL_AT", name)
            return run_badly(project, *arguments)

    return run


def one(project: Project, pattern: str) -> Path:
    """The only file that the pattern finds, relative to the project."""
    (path,) = (project.folder / "results/digits").glob(pattern)
    return path.relative_to(project.folder)


def begun(project: Project, *arguments: str, log: Path) -> subprocess.Popen:
    """A run in a process group of its own, once the job with this log is at work."""
    (project.folder / log).unlink(missing_ok=True)
    run = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", *map(str, arguments)],
        cwd=project.folder,
        env=alone(os.environ),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # A shell's background job ignores Ctrl-C, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while run.poll() is None and not (project.folder / log).exists():
        time.sleep(0.02)
    assert run.poll() is None, run.communicate()[0]
    return run


def test_what_is_kept_of_a_failed_job_is_whole(copy, expected, killed_at):
    metrics = one(copy, "maps/cam-*/metrics.csv")
    (copy.folder / metrics).unlink()
    killed_at(copy, "metrics.csv", "--keep-incomplete", str(metrics))
    curve = metrics.with_name("curve.csv")
    kept = (copy.folder / curve).read_bytes()
    assert kept == expected[curve.relative_to("results").as_posix()]
    assert not (copy.folder / metrics).exists()
    assert len(half_written(copy.folder / "results")) == 1
    copy.make(str(metrics))
    copy.make()
    assert differences(copy.folder / "results", expected) == []


@pytest.mark.parametrize(
    ("damaged", "read_by", "line"),
    [
        ("predictions/*/0.zarr.zip", "metrics.csv", "not a whole shard ("),
        ("classifier/*/model.safetensors", "maps/*/0.zarr.zip", "not a readable weights file ("),
        ("train.csv", "val.csv", "ends in the middle of a line; "),
        ("maps/*/metrics.csv", "../leaderboard.csv", "ends in the middle of a line; "),
    ],
)
def test_a_cut_file_is_named_and_made_again(copy, expected, damaged, read_by, line):
    """One chain of two, where there are two; only the rules that the reading file needs run."""
    results = copy.folder / "results/digits"
    path = sorted(results.glob(damaged))[0]
    reader = path.parent / read_by if read_by == "metrics.csv" else next(results.glob(read_by))
    target = os.path.relpath(reader, copy.folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    printed = run_badly(copy, target)
    errors = {text for text in printed.splitlines() if text.startswith("error: ")}
    assert len(errors) == 1
    said = errors.pop()
    assert said.startswith(f"error: {path.relative_to(copy.folder)}: {line}")
    assert "delete it and run again" in said
    path.unlink()
    copy.make(target)
    assert differences(copy.folder / "results", expected) == []


def test_lost_files_in_the_middle_are_made_again(copy, expected):
    metrics = one(copy, "masks/threshold-*/metrics.csv")
    shard = copy.folder / metrics.with_name("1.zarr.zip")
    for path in (copy.folder / metrics, shard, copy.folder / one(copy, "maps/*/1.zarr.zip")):
        path.unlink()
    assert copy.would_run(str(metrics)) == {"cam": 1, "threshold": 1, "measure_labels": 1}
    copy.make(str(metrics))
    assert differences(copy.folder / "results", expected) == []


def test_a_damaged_checkpoint_is_left_aside(copy, expected, killed_at):
    model = one(copy, "classifier/*/model.safetensors")
    shutil.rmtree((copy.folder / model).parent)
    killed_at(copy, "epoch-0002.pt", str(model))
    state = (copy.folder / model).parent / "state"
    (checkpoint,) = state.glob("epoch-*.pt")
    assert checkpoint.name == "epoch-0001.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:3000])
    printed = copy.make(str(model))
    assert f"{checkpoint.relative_to(copy.folder)}: not readable (" in printed
    assert "going on after epoch" not in printed
    # The model alone was asked for.
    absent = [
        model.parent.relative_to("results") / name for name in ("lineage.json", "metrics.csv")
    ]
    assert differences(copy.folder / "results", expected) == [f"{path}: absent" for path in absent]


def test_training_goes_on_after_a_kill_within_a_checkpoint(copy, expected, killed_at):
    model = one(copy, "classifier/*/model.safetensors")
    shutil.rmtree((copy.folder / model).parent)
    killed_at(copy, "epoch-0002.pt", str(model))
    assert len(half_written(copy.folder / "results")) == 1
    assert "epoch-0001.pt: going on after epoch 1" in copy.make(str(model))
    # The model alone was asked for.
    absent = [
        model.parent.relative_to("results") / name for name in ("lineage.json", "metrics.csv")
    ]
    assert differences(copy.folder / "results", expected) == [f"{path}: absent" for path in absent]


@pytest.fixture
def forgetful(finished, tmp_path) -> Project:
    """A copy of the finished run without Snakemake's records."""
    return finished.copied_to(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "wanted"),
    [
        ("experiments", ["digits / vanilla / cam / crf"], END | OUTLINE),
        ("evaluation.background_score", 0.5, END | OUTLINE),
        ("evaluation.thresholds", 20, END | OUTLINE),
        ("report.examples", 2, END | OUTLINE),
        ("seed", 1, EVERYTHING | OUTLINE | {"describe": 4}),
    ],
)
def test_another_config_without_records(forgetful, path, value, wanted):
    forgetful.configure(changed(path, value))
    assert forgetful.would_run() == wanted


def test_another_number_of_shards_without_records(forgetful):
    forgetful.configure(changed("datasets.digits.shards", 3))
    planned = forgetful.would_run()
    assert planned["digits"] == planned["vanilla"] == 1
    assert planned["cam"] == 3


def test_tables_of_another_config_do_not_stay_without_records(forgetful):
    forgetful.configure(changed("experiments", ["digits / vanilla / cam / crf"]))
    forgetful.make("--until", "collect")
    metrics = pd.read_csv(forgetful.folder / "results/metrics.csv")
    assert set(metrics["experiment"]) == {"digits/vanilla/cam/crf"}
    assert len(list(forgetful.folder.glob("results/experiments-*.json"))) == 1


def test_figures_at_another_background_score_are_refused_without_records(forgetful):
    forgetful.configure(changed("evaluation.background_score", 0.5))
    measured = one(forgetful, "maps/*/metrics.csv")
    printed = run_badly(forgetful, "--until", "collect")
    assert (
        f"error: {measured}: measured at the background score 0.3, but "
        "evaluation.background_score is 0.5; delete it and run again" in printed
    )
    assert not (forgetful.folder / "results/metrics.csv").exists()
    (forgetful.folder / measured).unlink()
    forgetful.make("--until", "collect")
    board = pd.read_csv(forgetful.folder / "results/leaderboard.csv")
    assert set(board["seed_background_score"]) == {0.5}


def test_of_two_runs_at_once_the_second_stops(copy, expected):
    shard = one(copy, "maps/*/0.zarr.zip")
    log = Path("logs/digits/maps", shard.parent.name, "0.log")
    first = begun(copy, "--forcerun", "cam", "--until", "cam", log=log)
    os.killpg(first.pid, signal.SIGSTOP)  # or it might end before the second begins
    try:
        printed = run_badly(copy, "--forceall")
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert "LockException" in printed and "--unlock" in printed
    output = first.communicate()[0]
    assert first.returncode == 0, output
    assert differences(copy.folder / "results", expected) == []


@pytest.mark.parametrize("what", ["evaluation.background_score", "shards of digits"])
def test_a_job_of_a_cluster_notices_that_the_config_was_edited(copy, monkeypatch, what):
    """As a cluster's job does it: with the record of the run that it belongs to."""
    metrics = one(copy, "maps/*/metrics.csv")
    (copy.folder / metrics).unlink()
    monkeypatch.setenv("TAGS2MASKS_STARTED", json.dumps({what: "of another value"}))
    said = {"evaluation.background_score": f"{what} of the config", "shards of digits": "shards"}
    printed = run_badly(copy, "--mode", "subprocess", str(metrics))
    assert f"{said[what]} was edited after this run began" in printed
    assert not (copy.folder / metrics).exists()
    monkeypatch.setenv("TAGS2MASKS_STARTED", "{}")
    copy.make("--mode", "subprocess", str(metrics))


def everyone(run: subprocess.Popen) -> None:
    """Ctrl-C in a terminal reaches every process."""
    os.killpg(run.pid, signal.SIGINT)


def snakemake_alone(run: subprocess.Popen) -> None:
    """As `kill` does; Snakemake then waits for its jobs and starts no other."""
    run.terminate()


@pytest.mark.parametrize("stop", [everyone, snakemake_alone])
def test_a_run_that_is_stopped_goes_on(copy, expected, stop):
    shard = one(copy, "maps/*/0.zarr.zip")
    model = one(copy, "classifier/*/model.safetensors")
    (copy.folder / shard).unlink()
    (copy.folder / model).unlink()
    log = Path("logs/digits/classifier", f"{model.parent.name}.log")
    run = begun(copy, shard, log=log)
    time.sleep(1)
    stop(run)
    output = run.communicate()[0]
    assert run.returncode == 1, output
    assert not (copy.folder / shard).exists()
    if stop is snakemake_alone:  # the job at work was let end
        assert (copy.folder / model).exists(), output
    made = artifacts(copy.folder / "results")
    wrong = [n for n, b in made.items() if not n.endswith(".part") and b != expected[n]]
    assert wrong == []
    copy.make(str(shard))
    assert differences(copy.folder / "results", expected) == []


def test_results_elsewhere_and_run_from_elsewhere(finished, expected, tmp_path):
    code, data = tmp_path / "code", tmp_path / "data"
    code.mkdir()
    project = finished.copied_to(code, results=False)
    shutil.copytree(finished.folder / "results", data / "results")
    elsewhere = ("--directory", str(data), "--configfile", str(code / "config.yaml"))
    assert project.would_run(*elsewhere) == {}
    project.make(*elsewhere, "--forcerun", "collect", "--until", "collect")
    assert differences(data / "results", expected) == []
    assert not (code / "results").exists()


def test_moved_images_run_nothing_again(tmp_path):
    table = "image,tags,split\na.png,cat,train\nb.png,cat,train\nc.png,dog,train\n"
    project = folder_project(tmp_path, table)
    for name in "abc":
        photo(tmp_path / "photos", f"{name}.png")
    config = copying.deepcopy(CONFIG) | {"experiments": ["mine / vanilla / cam"]}
    here = {"kind": "folder", "images": "photos", "tags": "tags.csv"}
    project.configure(config | {"datasets": {"mine": here}})
    project.make("--until", "vanilla")
    (tmp_path / "disk").mkdir()
    for name in ("photos", "tags.csv"):
        (tmp_path / name).rename(tmp_path / "disk" / name)
    there = {"kind": "folder", "images": "disk/photos", "tags": "disk/tags.csv"}
    project.configure(config | {"datasets": {"mine": there}})
    assert project.would_run("--until", "vanilla") == {}
    (tmp_path / "disk/tags.csv").touch()
    assert project.would_run("--until", "vanilla") == {}
    (tmp_path / "disk/tags.csv").write_text(table.replace("c.png,dog", "c.png,cat"))
    # The listing of val sees that no image is in both, and so is made again too.
    planned = {"describe": 1, "folder": 1, "folder_val": 1, "vanilla": 1}
    assert project.would_run("--until", "vanilla") == planned
    shutil.rmtree(tmp_path / ".snakemake")
    assert project.would_run("--until", "vanilla") == planned
