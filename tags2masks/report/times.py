"""The page of time and memory. It lies among the logs: a report has the same bytes every time."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from tags2masks.files import written_whole
from tags2masks.report.templates import page_template
from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.times import summed, times_of

COLUMNS = ("dataset", "stage", "artifact", "jobs", "minutes", "cpu_minutes", "memory_gb")


def write_times(artifacts: Iterable[Artifact], logs: Path) -> None:
    """Write `times.csv` and `times.html` into the folder of the logs.

    An artifact without measurements has no jobs. Raises UserError naming a log that cannot be read.
    """
    measured = [(artifact, times_of(artifact, logs)) for artifact in artifacts]
    table = pd.DataFrame(
        [
            (*artifact.key, t.jobs, t.seconds / 60, t.cpu_seconds / 60, t.memory_mb / 1024)
            for artifact, t in measured
        ],
        columns=COLUMNS,
    )
    logs.mkdir(parents=True, exist_ok=True)
    with written_whole(logs / "times.csv") as beside:
        table.to_csv(beside, index=False, float_format="%.3f")
    page = page_template("times.html.jinja").render(
        rows=table.to_dict("records"),
        absent=int((table["jobs"] == 0).sum()),
        most=table["cpu_minutes"].max() or 1,
        together=summed(times for _, times in measured),
    )
    with written_whole(logs / "times.html") as beside:
        beside.write_text(page, encoding="utf-8")
