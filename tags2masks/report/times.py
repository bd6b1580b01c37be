"""The page of time and memory. It lies among the logs: a report has the same bytes every time."""

from pathlib import Path

import pandas as pd

from tags2masks.files import written_whole
from tags2masks.report.templates import page_template


def write_times(times: pd.DataFrame, folder: Path) -> None:
    """Write a table of `workflow.times.times_table` as `times.csv` and `times.html`."""
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / "times.csv") as beside:
        times.to_csv(beside, index=False, float_format="%.3f")
    page = page_template("times.html.jinja").render(
        rows=times.to_dict("records"),
        absent=int((times["jobs"] == 0).sum()),
        most=times["cpu_minutes"].max() or 1,
        together=times[["jobs", "minutes", "cpu_minutes"]].sum().to_dict(),
        memory_gb=times["memory_gb"].max(),
    )
    with written_whole(folder / "times.html") as beside:
        beside.write_text(page, encoding="utf-8")
