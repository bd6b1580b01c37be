"""Finding and removing artifacts and shards that no experiment refers to."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from tags2masks.errors import UserError
from tags2masks.stages import STAGES

# Folders with what is shown of artifacts, and the stage of these: `examples/<id>.zarr.zip`, and
# `sheets/<id>.html` beside `sheets/<id>/`.
SHOWN = {"examples": "predictions", "sheets": "masks"}
ID = re.compile(r"[a-z0-9_]+-[0-9a-f]{8}")
SHARD = re.compile(r"(?:val-)?([0-9]+)\.zarr\.zip")
DELETED = ".deleted"


class Unused(NamedTuple):
    """An unused folder or file, and its size in bytes."""

    path: Path
    size: int


def unused(results: Path, used: set[tuple[str, str, str]], shards: dict[str, int]) -> list[Unused]:
    """Artifacts that are not in `used`, a set of (data set, stage, id), and surplus shards.

    shards: the number of shards of each data set in the configs. Shards with a higher number are
    surplus; other data sets are skipped. Only files with names of the workflow are considered, not
    indexes, images or the user's own files.
    """
    leftovers = []
    for stage in (*STAGES, *SHOWN):
        for path in sorted(results.glob(f"*/{stage}/*")):
            if path.parts[-3] not in shards:
                continue
            name = path.name.removesuffix(DELETED).lstrip(".")
            if stage in SHOWN:
                name = name.removesuffix(".zarr.zip").removesuffix(".html")
            whose = SHOWN.get(stage, stage)
            wanted = (path.parts[-3], whose, name) in used and not path.name.endswith(DELETED)
            if ID.fullmatch(name) and not wanted:
                leftovers.append(Unused(path, _bytes(path)))
            elif stage not in SHOWN and wanted:
                leftovers += _stale_shards(path, shards[path.parts[-3]])
    return leftovers


def _stale_shards(artifact: Path, count: int) -> list[Unused]:
    """Surplus shards of an artifact, from when its data set had more shards."""
    leftovers = []
    for path in sorted(artifact.glob("*.zarr.zip")):
        name = SHARD.fullmatch(path.name)
        if name and int(name[1]) >= count:
            leftovers.append(Unused(path, _bytes(path)))
    return leftovers


def other_datasets(results: Path, shards: dict[str, int]) -> list[str]:
    """The data sets with artifacts in `results` that are in no config."""
    present = {path.parts[-2] for stage in STAGES for path in results.glob(f"*/{stage}")}
    return sorted(present - shards.keys())


def remove(leftovers: list[Unused], results: Path) -> None:
    """Delete artifacts; each is renamed first, so that a kill leaves none that looks complete.

    Links are removed, not their targets. Raises UserError while a run holds Snakemake's lock, or if
    something cannot be removed.
    """
    # The run's directory contains `results`, which may be a link to another folder.
    for folder in dict.fromkeys([results.absolute().parent, results.resolve().parent]):
        locks = folder / ".snakemake" / "locks"
        if locks.is_dir() and any(locks.iterdir()):
            raise UserError(
                f"{locks} says that a run is going on; wait for its end, or, if it was killed, "
                "type `snakemake --unlock`"
            )
    for path, _ in leftovers:
        try:
            _remove(path)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be deleted ({error.strerror}); see to its permissions and run "
                "this again"
            ) from None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        gone = path.with_name(f".{path.name.strip('.').removesuffix(DELETED)}{DELETED}")
        path.rename(gone)
        shutil.rmtree(gone)
    else:
        path.unlink()


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in files if file.is_symlink() or file.is_file())
