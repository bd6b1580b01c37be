"""The workflow on a real Slurm: what it asks for, and what it survives."""

import copy as copying
import filecmp
import re
import subprocess

import pytest

from tests.slurm.conftest import OnSlurm, show, wait_until
from tests.workflow.conftest import CONFIG, fresh_project

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1500)]

# The node declares GPUs that are ordinary files: rules ask for them, networks find none.
SLURM_CONFIG = copying.deepcopy(CONFIG) | {"device": "auto"}
TRAINING = {"vanilla": "12:00:00", "deeplabv3plus": "1-00:00:00"}
ON_GPU = {**TRAINING, "cam": "01:00:00", "predictions": "01:00:00", "examples": "00:20:00"}


def project_on(cluster, folder, config=SLURM_CONFIG) -> OnSlurm:
    """A fresh project for this cluster."""
    folder.mkdir(parents=True, exist_ok=True)
    return OnSlurm(fresh_project(folder, config), cluster)


def same_bytes(one, other, patterns=("**/*.zarr.zip", "**/model.safetensors", "metrics.csv")):
    """The files of both results by these patterns, which must be equal and some; their number."""
    count = 0
    for pattern in patterns:
        files = sorted(p.relative_to(one.folder) for p in one.folder.glob(f"results/{pattern}"))
        assert files, pattern
        for file in files:
            assert filecmp.cmp(one.folder / file, other.folder / file, shallow=False), file
        count += len(files)
    return count


def rule_of(job) -> str:
    """The rule that a Slurm job ran."""
    return re.match(r"rule_(\w+?)(_wildcards_.*)?$", job["Comment"]).group(1)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The same chain, run here without Slurm."""
    project = fresh_project(tmp_path_factory.mktemp("here"), SLURM_CONFIG)
    project.make()
    return project


def test_the_chain(cluster, here, tmp_path):
    on_slurm = project_on(cluster, tmp_path / "slurm")
    run = on_slurm.start()
    assert run.wait(1200) == 0, on_slurm.printed() + on_slurm.job_logs()
    records = on_slurm.records()
    show(records)
    rules = {rule_of(job) for job in records}
    assert rules >= set(ON_GPU) | {"digits", "digits_truth", "threshold", "crf", "measure_maps"}
    assert not rules & {"all", "outline", "collect"}
    for job in records:
        rule = rule_of(job)
        assert (job.get("TresPerJob") == "gres:gpu:1") == (rule in ON_GPU), job
        assert job["JobState"] == "COMPLETED"
        assert job["TimeLimit"] == ON_GPU.get(rule, job["TimeLimit"])
        assert job["Requeue"] == "1"
    memory = {rule_of(job): job["MinMemoryNode"] for job in records}
    assert memory["vanilla"] == memory["deeplabv3plus"] == "16000M"
    assert memory["cam"] == "12000M"
    assert memory["threshold"] == memory["measure_labels"] == "4000M"
    print(f"  {same_bytes(here, on_slurm)} artifacts and tables equal to those of a local run")


def test_no_gpu_is_asked_for_where_the_config_says_cpu(cluster, tmp_path):
    project = project_on(cluster, tmp_path / "cpu", copying.deepcopy(CONFIG) | {"device": "cpu"})
    run = project.start("--until", "vanilla")
    assert run.wait(300) == 0, project.printed() + project.job_logs()
    show(project.records())
    assert {rule_of(job) for job in project.records()} == {"digits", "vanilla"}
    assert not any("gpu" in job.get("TresPerJob", "") for job in project.records())


# More than a minute of training, where a minute is the least that Slurm limits jobs to.
LONG = copying.deepcopy(SLURM_CONFIG)
LONG["classifiers"]["vanilla"]["epochs"] = 1000
LONG["experiments"] = ["digits / vanilla"]
MODEL = ("**/model.safetensors",)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The long training, run here without Slurm."""
    project = fresh_project(tmp_path_factory.mktemp("undisturbed"), LONG)
    project.make("--until", "vanilla")
    return project


def last_epoch(project) -> int:
    """The epoch of the newest checkpoint."""
    states = project.folder.glob("results/digits/classifier/*/state/epoch-*.pt")
    return max((int(path.stem[6:]) for path in states), default=0)


def went_on_after(project) -> int:
    """The epoch after which the training's last start went on."""
    log = next(project.folder.glob("logs/digits/classifier/*.log")).read_text()
    return int(re.search(r"going on after epoch (\d+)", log).group(1))


def test_a_job_over_its_time_is_tried_again_with_more(cluster, undisturbed, tmp_path):
    project = project_on(cluster, tmp_path / "long", LONG)
    run = project.start("--until", "vanilla", "--set-resources", "vanilla:runtime=attempt")
    assert run.wait(900) == 0, project.printed() + project.job_logs()
    records = project.records("vanilla")
    show(records)
    assert [job["TimeLimit"] for job in records] == [
        f"00:0{attempt}:00" for attempt in range(1, len(records) + 1)
    ]
    assert [job["JobState"] for job in records] == ["TIMEOUT"] * (len(records) - 1) + ["COMPLETED"]
    assert len(records) > 1
    assert went_on_after(project) > 0
    same_bytes(undisturbed, project, MODEL)
    print(f"  went on after epoch {went_on_after(project)}; the model equals an undisturbed run's")


def test_a_preempted_training_goes_on_where_it_was(cluster, undisturbed, tmp_path):
    project = project_on(cluster, tmp_path / "long", LONG)
    run = project.start("--until", "vanilla")
    wait_until("epoch", lambda: last_epoch(project) >= 5)
    cluster.run("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")
    wait_until("preemption", lambda: project.records("vanilla")[0]["Restarts"] != "0")
    reached = last_epoch(project)
    assert run.wait(600) == 0, project.printed() + project.job_logs()
    records = project.records("vanilla")
    show(records)
    assert [(job["JobState"], job["Restarts"]) for job in records] == [("COMPLETED", "1")]
    assert reached >= went_on_after(project) >= 5
    same_bytes(undisturbed, project, MODEL)
    print(f"  went on after epoch {went_on_after(project)}; the model equals an undisturbed run's")


@pytest.fixture
def queued(cluster, here, tmp_path):
    """Starts a run on a copy of the finished chain, with its jobs held back in the queue."""
    copied = OnSlurm(here.copied_to(tmp_path, records=True), cluster)
    runs = []

    def start(config) -> tuple[OnSlurm, subprocess.Popen]:
        copied.configure(config)
        blocker = cluster.run(
            "sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null",
            "--wrap=sleep 600",
        ).strip()  # fmt: skip
        runs.append((blocker, copied.start("--retries", "0")))
        wait_until("waiting job", lambda: any(j["JobState"] == "PENDING" for j in copied.records()))
        return copied, runs[-1][1]

    def release() -> None:
        cluster.run("scancel", runs[-1][0])

    yield start, release
    for _, run in runs:
        run.kill()


@pytest.mark.parametrize(
    ("at_start", "edited", "line"),
    [
        (
            {"evaluation": {"background_score": 0.4}},
            {"evaluation": {"background_score": 0.5}},
            "evaluation.background_score of the config was edited after this run began",
        ),
        ({"seed": 1}, {"seed": 2}, "the seed was edited after this run began"),
    ],
)
def test_a_config_edited_while_jobs_wait(queued, at_start, edited, line):
    start, release = queued
    before = copying.deepcopy(SLURM_CONFIG) | at_start
    project, run = start(before)
    old = (project.folder / "results/metrics.csv").read_bytes()
    project.configure(copying.deepcopy(SLURM_CONFIG) | edited)
    release()
    assert run.wait(300) == 1, project.printed()
    assert line in project.job_logs() + project.printed()
    show(project.records())
    assert {job["JobState"] for job in project.records()} == {"FAILED"}
    assert (project.folder / "results/metrics.csv").read_bytes() == old
    project.configure(before)
    assert project.would_run("--rerun-incomplete"), "the failed work is still to be done"
