"""Artifacts that no experiment refers to any more, and their removal."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from tags2masks.errors import UserError
from tags2masks.stages import STAGES

# A folder of examples holds one shard per predictions artifact.
EXAMPLES = "examples"
ID = re.compile(r"[a-z0-9_]+-[0-9a-f]{8}")
DELETED = ".deleted"


class Unused(NamedTuple):
    """A folder or file that may go, and its size in bytes."""

    path: Path
    size: int


def unused(results: Path, used: set[tuple[str, str, str]]) -> list[Unused]:
    """What lies where artifacts do and belongs to none of (data set, stage, id) in `used`.

    Only names that the workflow gives are looked at: indexes, images and whatever else people put
    there are left alone.
    """
    found = []
    for stage in (*STAGES, EXAMPLES):
        for path in sorted(results.glob(f"*/{stage}/*")):
            name = path.name.removesuffix(DELETED).lstrip(".")
            name = name.removesuffix(".zarr.zip") if stage == EXAMPLES else name
            whose = "predictions" if stage == EXAMPLES else stage
            wanted = (path.parts[-3], whose, name) in used and not path.name.endswith(DELETED)
            if ID.fullmatch(name) and not wanted:
                found.append(Unused(path, _bytes(path)))
    return found


def remove(found: list[Unused], results: Path) -> None:
    """Delete them, each first renamed, so that a kill leaves no artifact that looks whole.

    Raises UserError while a run holds Snakemake's lock.
    """
    locks = results.resolve().parent / ".snakemake" / "locks"
    if locks.is_dir() and any(locks.iterdir()):
        raise UserError(
            f"{locks} says that a run is going on; wait for its end, or, if it was killed, type "
            "`snakemake --unlock`"
        )
    for path, _ in found:
        if path.is_dir():
            gone = path.with_name(f".{path.name.strip('.').removesuffix(DELETED)}{DELETED}")
            path.rename(gone)
            shutil.rmtree(gone)
        else:
            path.unlink()


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
