"""Time and memory of what was made, as Snakemake measured its jobs."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tags2masks.errors import UserError
from tags2masks.workflow.artifacts import Artifact

MEASURED = ("s", "max_rss", "cpu_time")


class Times(NamedTuple):
    """The jobs of an artifact, or of several.

    seconds and cpu_seconds: their sums, by the clock and of the processors; memory_mb: that of the
    largest job. Of a training that went on after a stop the last part alone counts.
    """

    jobs: int
    seconds: float
    cpu_seconds: float
    memory_mb: float


def times_of(artifact: Artifact, logs: Path) -> Times:
    """The jobs of an artifact whose measurements are there; none if there are none.

    logs: the folder of the logs. Raises UserError naming a file that cannot be read.
    """
    folder = logs / artifact.dataset / artifact.stage
    files = sorted(folder.glob(f"{artifact.id}/*.tsv"))
    return summed(map(_read, [*files, *folder.glob(f"{artifact.id}.tsv")]))


def summed(several: Iterable[Times]) -> Times:
    """Jobs together: sums, and the memory of the largest."""
    rows = list(several)
    jobs, seconds, cpu_seconds = (sum(row[at] for row in rows) for at in range(3))
    return Times(jobs, seconds, cpu_seconds, max((row.memory_mb for row in rows), default=0.0))


def times_table(artifacts: Iterable[Artifact], logs: Path) -> pd.DataFrame:
    """A row per artifact: dataset, stage, artifact, jobs, minutes, cpu_minutes, memory_gb.

    An artifact without measurements has no jobs. Raises UserError naming a file that cannot be
    read.
    """
    columns = ("dataset", "stage", "artifact", "jobs", "minutes", "cpu_minutes", "memory_gb")
    measured = ((artifact, times_of(artifact, logs)) for artifact in artifacts)
    rows = (
        (*artifact.key, jobs, seconds / 60, cpu_seconds / 60, memory_mb / 1024)
        for artifact, (jobs, seconds, cpu_seconds, memory_mb) in measured
    )
    return pd.DataFrame(rows, columns=columns)


def table(rows: Iterable[tuple[str, str, Times]]) -> Iterator[str]:
    """Lines of a table; rows: stage, name, times."""
    yield f"{'stage':16s} {'artifact':28s} {'jobs':>4s} {'minutes':>8s} {'CPU min':>8s} {'GB':>5s}"
    for stage, name, times in rows:
        figures = f"{times.jobs:4d}"
        if times.jobs:
            minutes = f"{times.seconds / 60:8.1f} {times.cpu_seconds / 60:8.1f}"
            figures += f" {minutes} {times.memory_mb / 1024:5.1f}"
        yield f"{stage:16s} {name:28s} {figures}"


def _read(file: Path) -> Times:
    """Snakemake's measurements of a job; a figure that it could not take counts as 0."""
    try:
        row = pd.read_csv(file, sep="\t").iloc[0]
        figures = [float(pd.to_numeric(row[name], errors="coerce")) for name in MEASURED]
    except (OSError, ValueError, LookupError) as error:
        raise UserError(f"{file}: no measurements of a job ({error}); delete it") from None
    seconds, memory_mb, cpu_seconds = (0.0 if pd.isna(figure) else figure for figure in figures)
    return Times(1, seconds, cpu_seconds, memory_mb)
