"""Kill a small run again and again at random moments: its results must be the same bytes.

One folder is left in peace. In another, `snakemake` is started in a process group of its own,
killed with SIGKILL (the group, and whatever left it), unlocked and started again, until it has been
killed often enough; then it may end. A run that ends earlier is checked, and a new folder begun.

`make test-kills`, or `python -m tests.kills --kills 30 --seed 0`. Two runs with one seed differ in
what they hit, because a machine's speed differs from moment to moment. Programs start quickly, as
in the tests (`tests.workflow.preloaded`), in the group that is killed.
"""

import argparse
import collections
import contextlib
import copy
import io
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil

from tests.workflow.conftest import CONFIG, Project, fresh_project
from tests.workflow.preloaded import python, serving

PARTS = 5.5  # a run is killed before it could do this part of the work, whatever the machine
PAUSE = 0.004
TRAINING = {"vanilla", "deeplabv3plus"}
MARK = "TAGS2MASKS_KILLS"  # in the environment of every process of a run, so that none is missed
SERVED = "TAGS2MASKS_SERVED"  # in that of the server of this process, and so of its forks

# (kind, how often): at any moment; while a file is half-written; after some epochs.
KINDS = {"moment": 5, "write": 4, "training": 1}


def small_config() -> dict:
    """The config of the tests, with epochs enough to be killed between."""
    config = copy.deepcopy(CONFIG)
    config["classifiers"]["vanilla"]["epochs"] = 20
    config["segmenters"]["net"]["epochs"] = 8
    return config


class Run:
    """`snakemake` at work in a project's folder, with all that it prints."""

    def __init__(self, project: Project):
        self.project, self.mark = project, uuid.uuid4().hex
        self.log = project.folder / f"run-{time.monotonic_ns()}.txt"
        self.leftovers = set(half_written(project.folder / "results"))  # of earlier kills
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*python(environment), "-m", "snakemake", "--cores", "2", "--rerun-incomplete"],
                cwd=project.folder,
                env=environment | {MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # of this session, so that the server's forks can join it
            )

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process.poll() is not None

    def printed(self) -> str:
        """What it printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> int:
        """Kill the group, then all that left it; the number of these."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        strays = self._kill_left()
        # The server takes calls in their order: when it has taken this one, it has forked for all.
        subprocess.run([*python(os.environ), "-m", "keyword"], check=True, timeout=60)
        return strays + self._kill_left()

    def _kill_left(self) -> int:
        strays = set()
        while left := list(self._alive()):
            for one in left:
                if os_group(one.pid) not in (None, self.process.pid):
                    strays.add(one.pid)
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            time.sleep(PAUSE)
        return len(strays)

    def _alive(self) -> Iterator[psutil.Process]:
        """What the run started: by its mark, or as a fork of the server, which has its own."""
        for one in psutil.process_iter():
            try:
                environment = one.environ()
                marked = environment.get(MARK) == self.mark
                forked = environment.get(SERVED) == str(os.getpid()) and one.ppid() != os.getpid()
                if (marked or forked) and one.status() != psutil.STATUS_ZOMBIE:
                    yield one
            except psutil.Error:
                continue


def os_group(pid: int) -> int | None:
    """The process group, or None when the process is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def started(printed: str) -> dict[str, str]:
    """Job number -> message of the jobs that a run's output says were started."""
    return dict(re.findall(r"^Job (\d+): (.*)$", printed, re.MULTILINE))


def finished(printed: str) -> dict[str, str]:
    """Job number -> rule of those it says have ended well."""
    return dict(re.findall(r"^Finished jobid: (\d+) \(Rule: (\w+)\)$", printed, re.MULTILINE))


def half_written(results: Path) -> list[Path]:
    """Temporary files and folders of writers at work, or of killed ones."""
    found = []
    for here, folders, files in os.walk(results):
        found += [Path(here) / name for name in (*folders, *files) if name.endswith(".part")]
        folders[:] = [n for n in folders if n not in ("images", "truth") and n[-5:] != ".part"]
    return found


def checkpoints(results: Path) -> set[Path]:
    """The checkpoints of trainings that have not ended."""
    return set(results.glob("*/*/*/state/epoch-*.pt"))


def wait(run: Run, kind: str, latest: float, dice: random.Random) -> float:
    """Wait for the moment to kill, or for the run's own end; the seconds since its start."""
    begun = time.monotonic()
    results = run.project.folder / "results"
    earliest = dice.uniform(0.2, latest if kind == "moment" else latest / 2)
    epoch = dice.randint(1, 6)
    last = 3 * latest if kind == "training" else latest  # a checkpoint may take its time
    earlier = checkpoints(results)  # no sign of a training that is at work now
    ready = {
        "moment": lambda: True,
        "write": lambda: set(half_written(results)) - run.leftovers,
        "training": lambda: {
            p for p in checkpoints(results) - earlier if int(p.stem[-4:]) >= epoch
        },
    }

    def passed() -> float:
        return time.monotonic() - begun

    while not run.ended() and passed() < last:
        if passed() >= earliest and ready[kind]():
            break
        time.sleep(PAUSE)
    return passed()


def artifacts(results: Path) -> dict[str, bytes]:
    """Every file of the results, by its path; of training tables all but the time it took."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results).as_posix()
        if path.is_file() and "/state/" not in f"/{name}":
            found[name] = path.read_bytes()
            if path.name == "training.csv":
                table = pd.read_csv(io.BytesIO(found[name]), dtype=str)
                found[name] = table.drop(columns="images_per_s").to_csv(index=False).encode()
    return found


def differences(results: Path, expected: dict[str, bytes]) -> list[str]:
    """What is not as in the undisturbed run, a line each."""
    found = artifacts(results)
    lines = [f"{name}: absent" for name in expected.keys() - found.keys()]
    lines += [f"{name}: too many" for name in found.keys() - expected.keys()]
    lines += [
        f"{n}: other bytes" for n in expected.keys() & found.keys() if expected[n] != found[n]
    ]
    lines += [f"{path}: left behind" for path in half_written(results)]
    lines += [f"{path}: left behind" for path in results.rglob("state")]
    return sorted(lines)


class Tally:
    """What was killed so far, and what came of it."""

    def __init__(self, rules: dict[str, str], files: int):
        self.rules, self.files = rules, files  # message -> rule, of the undisturbed run
        self.kills = self.strays = self.resumed = 0
        self.hits: collections.Counter[str] = collections.Counter()

    def count(self, run: Run, seconds: float, kind: str) -> None:
        """Kill the run, and print a line about it."""
        results = run.project.folder / "results"
        self.strays += run.kill()
        self.kills += 1
        printed = run.printed()
        running = {n: m for n, m in started(printed).items() if n not in finished(printed)}
        rules = {self.rules.get(message, "?") for message in running.values()}
        if not running:
            rules = {"between jobs" if "Job stats" in printed else "parse"}
        if set(half_written(results)) - run.leftovers:
            rules.add("write")
        if rules & TRAINING and checkpoints(results):
            rules.add("training with a checkpoint")
        self.hits.update(rules)
        self.resumed += printed.count(": going on after epoch")
        what = "; ".join(running.values()) or ", ".join(rules)
        there = sum(not name.endswith(".part") for name in artifacts(results))
        notes = "".join(f", {path.name}" for path in checkpoints(results))
        notes += "".join(f", {path.name}" for path in half_written(results))
        print(
            f"kill {self.kills:2}  {kind:8} {seconds:5.2f} s  {there:3} of {self.files} files  "
            f"{what}{notes}",
            flush=True,
        )


def ended_well(run: Run) -> None:
    """Stop with its output when a run that was not killed has failed."""
    if run.process.wait() != 0:
        sys.exit(f"{run.printed()}\nFAIL: a run ended with status {run.process.returncode}")


def disturb(project: Project, tally: Tally, kills: int, latest: float, dice: random.Random) -> None:
    """Run the project to its end, killing it until there were enough kills.

    The first kill is in the training of the classifier, so that no luck is needed to hit one.
    """
    kind = "training"
    while True:
        run = Run(project)
        if tally.kills == kills:
            break
        seconds = wait(run, kind, latest, dice)
        if run.ended():
            break
        tally.count(run, seconds, kind)
        project.make("--unlock")
        kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
    ended_well(run)
    tally.resumed += run.printed().count(": going on after epoch")


def main() -> int:
    """Read the arguments, run, kill and compare; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.monotonic()
    dice = random.Random(args.seed)

    os.environ[SERVED] = str(os.getpid())
    with serving() as served, tempfile.TemporaryDirectory(prefix="kills-") as name:
        os.environ.update(served)
        whole = fresh_project(new(Path(name) / "whole"), small_config())
        run = Run(whole)
        ended_well(run)
        expected = artifacts(whole.folder / "results")
        messages, rules = started(run.printed()), finished(run.printed())
        tally = Tally(
            {messages[n]: rule for n, rule in rules.items() if n in messages}, len(expected)
        )
        undisturbed = time.monotonic() - began
        print(f"undisturbed: {len(expected)} files in {undisturbed:.0f} s", flush=True)
        wrong, folders = [], 0
        while tally.kills < args.kills and not wrong:
            folders += 1
            project = fresh_project(new(Path(name) / f"killed-{folders}"), small_config())
            disturb(project, tally, args.kills, undisturbed / PARTS, dice)
            wrong = differences(project.folder / "results", expected)
            print(f"run {folders} ended: {len(wrong)} of {len(expected)} files differ", flush=True)
    checks = {
        f"{tally.kills} kills survived, {args.kills} wanted": tally.kills == args.kills,
        f"every file of {folders} killed runs has the bytes of the undisturbed one, report.html "
        "too (training.csv: all columns but images_per_s, a time)": not wrong,
        f"{tally.hits['training with a checkpoint']} kills hit a training with a checkpoint; "
        f"{tally.resumed} times it went on after an epoch": tally.resumed > 0
        and tally.hits["training with a checkpoint"] > 0,
        f"{tally.hits['write']} kills left a file half-written; none is there now": (
            tally.hits["write"] > 0 and not wrong
        ),
    }
    print("\n".join(wrong))
    print("hit:", ", ".join(f"{rule} {n}" for rule, n in tally.hits.most_common()))
    print(f"{tally.strays} processes had left their group; {time.monotonic() - began:.0f} s in all")
    for what, holds in checks.items():
        print("ok  " if holds else "FAIL", what)
    return 0 if all(checks.values()) else 1


def new(folder: Path) -> Path:
    """The folder, made."""
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
