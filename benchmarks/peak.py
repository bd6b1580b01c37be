"""Programs watched from outside: how long they take, and how much memory."""

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

PERIOD = 0.05  # seconds between two looks


class Watched(NamedTuple):
    """What a program took, and what it printed."""

    seconds: float
    megabytes: float
    printed: str


def watched(command: Sequence[str], folder: Path) -> Watched:
    """Run a program in a folder to its good end.

    megabytes: the largest sum over the program and its descendants, alive at one time, of each
    one's own peak of resident memory (as Linux keeps it), shared pages counted in each.
    Raises RuntimeError with what was printed when the program fails.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
    peak, before = 0.0, set()
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            now = _peaks(process.pid)
            # A process just split off still wears its parent's memory: it counts from the next
            # look on.
            peak = max(peak, sum(now[pid] for pid in now if pid in before or pid == process.pid))
            before = set(now)
            time.sleep(PERIOD)
        seconds = time.perf_counter() - began
        output.seek(0)
        printed = output.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{printed}")
    return Watched(seconds, peak, printed)


def _peaks(pid: int) -> dict[int, float]:
    """Megabytes at each one's peak, of a process and its descendants, by process id."""
    try:
        tree = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return {}
    return {process: megabytes for process in tree if (megabytes := _peak(process)) is not None}


def _peak(pid: int) -> float | None:
    """None for a process that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 / 1e6 if lines else None
