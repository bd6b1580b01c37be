"""The errors of a run's failed jobs, for its last lines; Snakemake does not print them."""

import re
from collections.abc import Iterable
from pathlib import Path

from tags2masks.workflow.torch_builds import HELP

LOG = re.compile(r"^ +log: (.+?) \(check log file\(s\) for error details\)", re.MULTILINE)
# What importing torchvision raises where it is built for another torch.
UNFIT = re.compile(
    r"operator torchvision::|Couldn't load custom C\+\+ ops|compiled with different CUDA"
)
LAST = 30  # lines at the end of a log that are searched for our own error


def failures(logs: str | Path | Iterable[str | Path]) -> list[str]:
    """For each failed job its log file and the error in it, in one or more lines.

    logs: Snakemake's logs of the run.
    """
    logs = [logs] if isinstance(logs, str | Path) else logs
    lines: dict[str, None] = {}
    for log in logs:
        for names in LOG.findall(_text(Path(log))):
            for name in names.split(", "):
                lines |= dict.fromkeys(_said(Path(name)))
    return list(lines)


def _said(log: Path) -> list[str]:
    lines = [line for line in _text(log).splitlines() if line.strip()]
    ours = [line for line in lines[-LAST:] if line.startswith("error: ")]
    if not ours and lines and UNFIT.search(lines[-1]):
        ours = [f"error: torch and torchvision do not fit together ({lines[-1]}); {HELP}"]
    return [f"{log}: {line}" for line in ours or lines[-1:]]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
