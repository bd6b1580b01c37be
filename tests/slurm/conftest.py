"""A cluster for the session, and projects that are run on it as people run them."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, missing
from tests.workflow.conftest import Project

# The executor looks for ended jobs after so many seconds, and ten seconds later each time that it
# finds none. With the profile's ten, tests would mostly wait for that.
OFTEN = ("--slurm-init-seconds-before-status-checks", "2")


class OnSlurm(Project):
    """A copy of the workflow that runs by `snakemake --profile slurm` on a cluster."""

    def __init__(self, project: Project, cluster: Cluster):
        # The project as it is: Project's own would write a config.
        self.folder, self.cluster = project.folder, cluster
        self._run: subprocess.Popen | None = None

    def start(self, *arguments: str) -> None:
        """Start a run; what it prints goes to the file `printed` in the project."""
        binaries = str(Path(sys.executable).parent)
        environment = dict(self.cluster.environment)
        environment["PATH"] = f"{binaries}:{environment['PATH']}"
        with (self.folder / "printed").open("w") as printed:
            self._run = subprocess.Popen(
                ["snakemake", "--profile", "slurm", *OFTEN, *arguments],
                cwd=self.folder, env=environment, stdout=printed, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def wait(self) -> int:
        """Wait for the run and return its exit status."""
        return self._run.wait(1200)

    def kill(self) -> None:
        """Kill the run if it still goes on."""
        if self._run:
            self._run.kill()
            self._run.wait()

    def printed(self) -> str:
        """What the last run printed."""
        return (self.folder / "printed").read_text()

    def records(self, rule: str = "") -> list[dict[str, str]]:
        """Slurm's records of this project's jobs (of one rule), oldest first."""
        mine = [job for job in self.cluster.jobs() if job["WorkDir"] == str(self.folder)]
        mine = [job for job in mine if job.get("Comment", "").startswith(f"rule_{rule}")]
        return sorted(mine, key=lambda job: int(job["JobId"]))

    def job_logs(self) -> str:
        """What the jobs printed, of those that failed."""
        logs = sorted((self.folder / ".snakemake/slurm_logs").rglob("*.log"))
        return "\n".join(log.read_text() for log in logs)


def wait_until(what: str, ready, seconds: float = 600):
    """The first true value that `ready` gives; fails when it gives none in time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := ready():
            return found
        time.sleep(0.1)
    pytest.fail(f"no {what} in {seconds:.0f} s")


def show(records: list[dict[str, str]]) -> None:
    """Print the records that a test is about to assert on."""
    fields = ("JobId", "Comment", "JobState", "Restarts", "NumCPUs", "MinMemoryNode", "TimeLimit")
    print()
    for job in records:
        told = {field: job.get(field) for field in (*fields, "TresPerJob", "Partition", "RunTime")}
        print("  " + " ".join(f"{name}={value}" for name, value in told.items()))


@pytest.fixture(scope="session")
def cluster():
    """A running Slurm; without root or its programs the tests fail and say what is missing."""
    if reason := missing():
        pytest.fail(reason, pytrace=False)
    # Not pytest's folder: the munge user must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="tags2masks-slurm-") as folder:
        Path(folder).chmod(0o755)
        with Cluster(Path(folder) / "cluster") as running:
            yield running


@pytest.fixture
def on_slurm(cluster):
    """Puts projects on the cluster; runs that a test leaves behind are killed."""
    projects = []

    def put(project: Project) -> OnSlurm:
        projects.append(OnSlurm(project, cluster))
        return projects[-1]

    yield put
    for project in projects:
        project.kill()
