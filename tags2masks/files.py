"""Files that are either whole or absent: written beside their place and renamed into it."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from tags2masks.errors import UserError


@contextlib.contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it into place when the block ends well.

    After an exception the temporary file or folder is removed and `path` is as it was before. A
    killed process leaves it behind; the next one to write `path` removes it. So a path must have
    one writer at a time, on whatever machine: Snakemake's lock sees to that.
    A file is on the disk before it gets its name, so that a power cut cannot leave an empty one
    there; the files of a folder are not waited for.
    Raises UserError when the folder cannot be written or the disk is full.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        yield beside
        if not beside.is_dir():
            _wait_for_disk(beside)
        elif path.exists():
            path.rename(old)  # removed only then: no moment must show half of it
        beside.replace(path)
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full; make room and start again",
            errno.EDQUOT: "the disk quota is used up; make room and start again",
            errno.EROFS: "the file system is read-only; choose another working directory",
            errno.EACCES: "no permission to write; choose another working directory",
            errno.EPERM: "no permission to write; choose another working directory",
        }
        if error.errno in reasons:
            raise UserError(f"{path}: {reasons[error.errno]}") from None
        raise
    finally:
        _remove(beside)
        if old.exists() and not path.exists():
            old.rename(path)
        _remove(old)


def _wait_for_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove_leftovers(path: Path) -> None:
    """Remove what killed writers of this very path left beside it."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.\d+(\.old)?\.part")
    for one in path.parent.iterdir():
        if leftover.fullmatch(one.name):
            _remove(one)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
