"""The results as a Markdown page."""

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from types import ModuleType

import psutil
import torch

from benchmarks.timing import Row

LIBRARIES = ("torch", "numpy", "zarr", "snakemake")


def page(results: Iterable[tuple[ModuleType, Sequence[Row]]], machine: str, command: str) -> str:
    """The whole page: what was measured where, and a table per subject."""
    head = (
        "# Benchmarks\n\n"
        f"Written by `{command}`; do not edit. {machine}\n\n"
        "What is compared takes turns in one run, after a check that both give the same. Figures "
        "are medians over the rounds; a ratio is the second column over the first, the median of "
        "the rounds' own ratios.\n"
    )
    return head + "".join(section(subject, rows) for subject, rows in results)


def section(subject: ModuleType, rows: Sequence[Row]) -> str:
    """A heading, the sentences that say what is plain and what is the floor, and the table."""
    first, second = subject.HEADINGS
    lines = [f"| what | {first} | {second} | ratio | |", "|---|---:|---:|---:|---|"]
    for row in rows:
        figures = [quantity(value, row.unit) for value in (row.fast, row.plain)]
        cells = [row.what, *figures, three_digits(row.ratio), row.note]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(["", f"## {subject.TITLE}", "", subject.ABOUT, "", *lines, ""])


def quantity(value: float | None, unit: str) -> str:
    """A figure with its unit, small times in ms."""
    if value is None:
        return "–"
    if unit == "s" and value < 1:
        return f"{three_digits(value * 1000)} ms"
    return f"{three_digits(value)} {unit}".strip()


def three_digits(value: float | None) -> str:
    """About three digits: 1,234 · 123 · 12.3 · 0.0123."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def describe_machine() -> str:
    """What this runs on, in sentences: processor, memory, versions, and who else is at work."""
    processor = torch.cpu.get_capabilities()["cpu_name"]
    memory = psutil.virtual_memory().total / 2**30
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"Machine: {processor}, {os.cpu_count()} cores, {torch.get_num_threads()} numeric threads, "
        f"{memory:.0f} GiB of memory; {platform.system()}, Python {platform.python_version()}, "
        f"{libraries}. Load before it started: {os.getloadavg()[0]:.1f}."
    )
