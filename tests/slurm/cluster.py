"""A real one-node Slurm with two declared GPUs, in a folder of its own; needs root.

    python -m tests.slurm.cluster FOLDER

starts one, prints what to export, and stops it at Ctrl-C.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

# Snakemake's job step hands no SLURM_CONF on to srun, which then looks here: for a time this is a
# link into the folder.
USUAL = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "munged", "mungekey")

# Job records stay for an hour, so that they can be looked at; a job that is requeued may start
# again at once; the urgent partition preempts the normal one.
SLURM_CONF = """\
ClusterName=small
SlurmctldHost={host}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
MinJobAge=3600
KillWait=3
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:a100:2 State=UNKNOWN
PartitionName=normal Nodes={host} Default=YES MaxTime=INFINITE PriorityTier=1 State=UP
PartitionName=urgent Nodes={host} MaxTime=INFINITE PriorityTier=9 PreemptMode=OFF State=UP
"""


class ClusterError(RuntimeError):
    """Slurm cannot be run here; the message says what is missing."""


def missing() -> str:
    """What keeps Slurm from running here, or nothing."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if absent:
        return (
            f"{', '.join(absent)} not found; install Debian's packages slurmctld, slurmd, "
            "slurm-client and munge (`make test-slurm` does so for root)"
        )
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    if USUAL.exists():
        return (
            f"a Slurm is configured here already: {USUAL} exists; delete it if it is a link that "
            "killed tests left"
        )
    return ""


class Cluster:
    """A running Slurm; a context manager. `environment` makes the client programs find it.

    folder: is emptied first. Raises ClusterError when a daemon does not come up.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.host = socket.gethostname().partition(".")[0]
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SNAKEMAKE"))},
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": _path(),
        }
        self._daemons: list[subprocess.Popen] = []

    def __enter__(self) -> "Cluster":
        if reason := missing():
            raise ClusterError(reason)
        self._write_configuration()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def run(self, *command: str) -> str:
        """Run one of Slurm's programs and return what it printed."""
        done = subprocess.run(
            command, env=self.environment, text=True, capture_output=True, timeout=60, check=False
        )
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """The records of all jobs, as `scontrol show job` gives them."""
        printed = self.run("scontrol", "--oneliner", "show", "job")
        records = [line for line in printed.splitlines() if line.startswith("JobId=")]
        return [dict(p.split("=", 1) for p in line.split() if "=" in p) for line in records]

    def pause(self, job: str) -> None:
        """Stop the processes of a running job where they are. Its time limit goes on."""
        listed = self.run("scontrol", "listpids", job).splitlines()[1:]
        for pid in [int(line.split()[0]) for line in listed]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def stop(self) -> None:
        """End all jobs and daemons."""
        if self._daemons:
            subprocess.run(
                ["scancel", "--user=root", "--signal=KILL", "--full"],
                env=self.environment, capture_output=True, timeout=30, check=False,
            )  # fmt: skip
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in reversed(self._daemons):
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        self._daemons.clear()
        if USUAL.is_symlink() and USUAL.readlink() == self.folder / "slurm.conf":
            USUAL.unlink()

    def _write_configuration(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("state", "spool", "munge", "gpus"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        (self.folder / "slurm.conf").write_text(
            SLURM_CONF.format(host=self.host, folder=self.folder, ports=_free_ports(2))
        )
        lines = []
        for number in range(2):
            file = self.folder / "gpus" / f"gpu{number}"
            file.touch()
            lines.append(f"Name=gpu Type=a100 File={file}\n")
        (self.folder / "gres.conf").write_text("".join(lines))
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        USUAL.parent.mkdir(exist_ok=True)
        USUAL.unlink(missing_ok=True)  # of tests that were killed: it leads nowhere
        USUAL.symlink_to(self.folder / "slurm.conf")

    def _start(self) -> None:
        munge = self.folder / "munge"
        subprocess.run(
            ["mungekey", "--create", f"--keyfile={munge}/key"], check=True, env=self.environment
        )
        owner = pwd.getpwnam("munge")
        for path in (munge, munge / "key"):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        munge.chmod(0o755)
        self._daemon(
            "munged", "--foreground", f"--socket={munge}/socket", f"--key-file={munge}/key",
            f"--pid-file={munge}/pid", f"--seed-file={munge}/seed", f"--log-file={munge}/log",
            user=owner,
        )  # fmt: skip
        self._wait("munge", lambda: (munge / "socket").exists())
        self._daemon("slurmctld", "-D", "-i", "-f", self.environment["SLURM_CONF"])
        self._daemon("slurmd", "-D", "-N", self.host, "-f", self.environment["SLURM_CONF"])
        self._wait("the node", lambda: "idle" in self.run("sinfo", "--noheader", "--format=%T"))

    def _daemon(self, *command: str, user: pwd.struct_passwd | None = None) -> None:
        with (self.folder / f"{command[0]}.out").open("w") as out:
            self._daemons.append(
                subprocess.Popen(
                    command,
                    env=self.environment,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    user=user.pw_uid if user else None,
                    group=user.pw_gid if user else None,
                )
            )

    def _wait(self, what: str, ready) -> None:
        for _ in range(120):
            for daemon in self._daemons:
                if daemon.poll() is not None:
                    name = daemon.args[0]
                    said = (self.folder / f"{name}.out").read_text()[-500:]
                    raise ClusterError(f"{name} ended with {daemon.returncode}: {said}")
            try:
                if ready():
                    return
            except ClusterError:
                pass
            time.sleep(0.5)
        raise ClusterError(f"{what} did not come up in a minute; see the logs in {self.folder}")


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        with Cluster(Path(sys.argv[1]).resolve()) as running:
            print(f"export SLURM_CONF={running.environment['SLURM_CONF']}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        pass
    except ClusterError as error:
        sys.exit(str(error))
