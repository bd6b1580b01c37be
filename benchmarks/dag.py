"""What it costs to read the workflow, which every cluster job does again."""

import re
import sys
import tempfile
from pathlib import Path

from benchmarks.peak import Watched, watched
from benchmarks.project import make_project
from benchmarks.timing import Row, compared

TITLE = "Reading the workflow"
HEADINGS = ("this", "beside it")
ABOUT = (
    "`snakemake --dry-run --quiet rules` of six experiments on a folder of images, in shards of "
    "2,500, with nothing made but the index. Plain: a job per image; here that of one stage of "
    "one experiment alone, without parameters. The floor is a Snakefile with nothing in it."
)
IMAGES_PER_SHARD = 2500

LIGHT = """
import sys
import tags2masks.workflow.plan
print("loaded:", *({"torch", "timm", "zarr", "pandas", "numpy"} & sys.modules.keys()))
"""
HEAVY = "import tags2masks.workflow.plan, torch, timm"


def dry_run(folder: Path, snakefile: str = "Snakefile") -> Watched:
    """Snakemake's dry run of a project, watched."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile]
    return watched([*command, "--dry-run", "--quiet", "rules"], folder)


def jobs(printed: str) -> dict[str, int]:
    """The numbers of jobs that a dry run told, by rule, and their `total`."""
    counts = re.findall(r"^(\w+) +(\d+)$", printed, re.MULTILINE)
    return {rule: int(count) for rule, count in counts}


def check_light(printed: str) -> None:
    """Raise AssertionError unless the process told that it had loaded nothing heavy."""
    assert re.findall("^loaded:.*$", printed, re.MULTILINE) == ["loaded:"], printed


def check_jobs(printed: str, shards: int) -> int:
    """Raise AssertionError unless the jobs of all shards are there; returns the number of jobs."""
    counts = jobs(printed)
    assert (counts["cam"], counts["crf"]) == (2 * shards, 2 * shards), printed
    assert (counts["threshold"], counts["predictions"]) == (4 * shards, 6 * shards), printed
    assert counts["folder"] == counts["folder_val"] == counts["describe"] - 3 == 1, printed
    return counts["total"]


def measure(quick: bool) -> list[Row]:
    """Seconds and megabytes of dry runs, and of importing the library's part in them."""
    few, many = (20, 40) if quick else (10_000, 120_000)
    per_shard = 10 if quick else IMAGES_PER_SHARD
    with tempfile.TemporaryDirectory() as place:
        small, large = Path(place) / "small", Path(place) / "large"
        make_project(small, few, few // per_shard)
        make_project(large, many, many // per_shard)
        programs = {
            "few": lambda: dry_run(small),
            "many": lambda: dry_run(large),
            "empty": lambda: dry_run(small, "Empty"),
            "per image": lambda: dry_run(small, "PerImage"),
            "light": lambda: watched([sys.executable, "-c", LIGHT], small),
            "heavy": lambda: watched([sys.executable, "-c", HEAVY], small),
        }
        rounds = [{name: run() for name, run in programs.items()} for _ in range(1 if quick else 3)]
    printed = {name: done.printed for name, done in rounds[0].items()}
    for name in ("few", "many", "light"):
        check_light(printed[name])
    jobs_of_few = check_jobs(printed["few"], few // per_shard)
    jobs_of_many = check_jobs(printed["many"], many // per_shard)
    assert jobs(printed["per image"])["maps"] == few

    def row(what: str, first: str, second: str, unit: str) -> Row:
        figure = {"s": "seconds", "MB": "megabytes"}[unit]
        first, second = ([getattr(done[n], figure) for done in rounds] for n in (first, second))
        return compared(what, first, second, unit)

    more = f"{few:,} images ({jobs_of_few} jobs), and {many:,} ({jobs_of_many} jobs)"
    plain = f"{few:,} images, and a job per image"
    return [
        row(more, "few", "many", "s"),
        row(more, "few", "many", "MB"),
        row(plain, "few", "per image", "s"),
        row(plain, "few", "per image", "MB"),
        row(f"{few:,} images, and the floor", "few", "empty", "s"),
        row(f"{few:,} images, and the floor", "few", "empty", "MB"),
        row(
            "import of `tags2masks.workflow.plan`, and of torch and timm too", "light", "heavy", "s"
        ),
    ]
