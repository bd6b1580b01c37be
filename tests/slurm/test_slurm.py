"""The workflow on a real Slurm: what it asks for, and what it survives."""

import copy as copying
import filecmp
import re

import pytest
import yaml

from tests.slurm.conftest import OFTEN, OnSlurm, show, wait_until
from tests.workflow.conftest import CONFIG, fresh_project
from tests.workflow.installed import Installation

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1500)]

# The node declares GPUs that are ordinary files: rules ask for them, networks find none.
SLURM_CONFIG = copying.deepcopy(CONFIG) | {"device": "auto"}
TRAINING = {"vanilla": "12:00:00", "deeplabv3plus": "1-00:00:00"}
ON_GPU = {
    **TRAINING,
    "cam": "01:00:00",
    "measure_classifier": "01:00:00",
    "predictions": "01:00:00",
    "examples": "00:20:00",
}


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


# Enough epochs to find the training in the midst of them.
LONG = copying.deepcopy(SLURM_CONFIG)
LONG["classifiers"]["vanilla"]["epochs"] = 200
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


def pause_training(project) -> int:
    """Stop the training after some epochs, so that no machine ends it; the newest checkpoint."""
    wait_until("epoch", lambda: last_epoch(project) >= 5)
    [running] = [job for job in project.records("vanilla") if job["JobState"] == "RUNNING"]
    project.cluster.pause(running["JobId"])
    reached = last_epoch(project)
    assert reached < LONG["classifiers"]["vanilla"]["epochs"], "the training was not stopped"
    return reached


@pytest.fixture(scope="module")
def over_time(cluster, tmp_path_factory):
    """A run whose training was stopped in its first minutes, and the epoch it had reached."""
    project = OnSlurm(fresh_project(tmp_path_factory.mktemp("over_time"), LONG), cluster)
    # The second attempt has minutes to spare: ended after its model was written but before the job
    # was over, it would have to begin anew.
    project.start("--until", "vanilla", "--set-resources", "vanilla:runtime=2*attempt**4")
    try:
        yield project, pause_training(project)
    finally:
        project.kill()


def test_the_chain(on_slurm, tmp_path, request):
    project = on_slurm(fresh_project(tmp_path, SLURM_CONFIG))
    project.start()
    # Both are made while it runs: the clock of the first ticks meanwhile.
    request.getfixturevalue("over_time")
    here = request.getfixturevalue("here")
    assert project.wait() == 0, project.printed() + project.job_logs()
    records = project.records()
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
    print(f"  {same_bytes(here, project)} artifacts and tables equal to those of a local run")


def test_jobs_of_a_wheel_find_what_is_installed(cluster, tmp_path_factory, tmp_path):
    installed = Installation(tmp_path_factory.mktemp("installed"))
    assert installed.run(tmp_path, "tags2masks", "examples").returncode == 0
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SLURM_CONFIG))
    given = ("mine.yaml", "--profile", "slurm", *OFTEN, "--until", "vanilla")
    done = installed.run(
        tmp_path, "tags2masks", "run", *given, environment=cluster.environment, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    mine = [job for job in cluster.jobs() if job["WorkDir"] == str(tmp_path)]
    show(mine)
    assert sorted(map(rule_of, mine)) == ["digits", "digits_val", "vanilla"]
    assert {job["JobState"] for job in mine} == {"COMPLETED"}
    assert len(list(tmp_path.glob("results/digits/classifier/*/model.safetensors"))) == 1


def test_no_gpu_is_asked_for_where_the_config_says_cpu(on_slurm, tmp_path):
    project = on_slurm(fresh_project(tmp_path, copying.deepcopy(CONFIG) | {"device": "cpu"}))
    project.start("--until", "vanilla")
    assert project.wait() == 0, project.printed() + project.job_logs()
    show(project.records())
    assert {rule_of(job) for job in project.records()} == {"digits", "digits_val", "vanilla"}
    assert not any("gpu" in job.get("TresPerJob", "") for job in project.records())


def test_a_job_over_its_time_is_tried_again_with_more(over_time, undisturbed):
    project, reached = over_time
    assert project.wait() == 0, project.printed() + project.job_logs()
    records = project.records("vanilla")
    show(records)
    assert [job["TimeLimit"] for job in records] == ["00:02:00", "00:32:00"]
    assert [job["JobState"] for job in records] == ["TIMEOUT", "COMPLETED"]
    assert went_on_after(project) >= reached
    same_bytes(undisturbed, project, MODEL)
    print(f"  went on after epoch {went_on_after(project)}; the model equals an undisturbed run's")


def test_a_preempted_training_goes_on_where_it_was(cluster, on_slurm, undisturbed, tmp_path):
    project = on_slurm(fresh_project(tmp_path, LONG))
    project.start("--until", "vanilla")
    reached = pause_training(project)
    cluster.run("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")
    assert project.wait() == 0, project.printed() + project.job_logs()
    records = project.records("vanilla")
    show(records)
    assert [(job["JobState"], job["Restarts"]) for job in records] == [("COMPLETED", "1")]
    assert went_on_after(project) >= reached
    same_bytes(undisturbed, project, MODEL)
    print(f"  went on after epoch {went_on_after(project)}; the model equals an undisturbed run's")


@pytest.fixture
def blocker(cluster):
    """A job that has the node to itself until it is cancelled; its number."""
    number = cluster.run(
        "sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null",
        "--wrap=sleep infinity",
    ).strip()  # fmt: skip
    states = {"JobId": number, "JobState": "RUNNING"}.items()
    wait_until("blocked node", lambda: any(states <= job.items() for job in cluster.jobs()))
    yield number
    cluster.run("scancel", "--quiet", number)


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
def test_a_config_edited_while_jobs_wait(
    cluster, on_slurm, here, blocker, tmp_path, at_start, edited, line
):
    project = on_slurm(here.copied_to(tmp_path, records=True))
    before = copying.deepcopy(SLURM_CONFIG) | at_start
    project.configure(before)
    project.start("--retries", "0")
    wait_until("waiting job", lambda: any(j["JobState"] == "PENDING" for j in project.records()))
    old = (project.folder / "results/metrics.csv").read_bytes()
    project.configure(copying.deepcopy(SLURM_CONFIG) | edited)
    cluster.run("scancel", blocker)
    assert project.wait() == 1, project.printed()
    assert line in project.job_logs() + project.printed()
    show(project.records())
    assert {job["JobState"] for job in project.records()} == {"FAILED"}
    assert (project.folder / "results/metrics.csv").read_bytes() == old
    project.configure(before)
    assert project.would_run("--rerun-incomplete"), "the failed work is still to be done"
