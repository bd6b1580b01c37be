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
    there; the files of a folder are not waited for. It gets the mode that the umask says, whatever
    library wrote it.
    Raises UserError when the folder cannot be written, the disk is full, the file would be larger
    than this account may write, or a folder stands where the file should be.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        yield beside
        if not beside.is_dir():
            if path.is_dir():
                raise UserError(f"{path}: a folder, where a file should be; move it away")
            beside.chmod(0o666 & ~_umask())
            _wait_for_disk(beside)
        elif path.exists():
            path.rename(old)  # removed only then: no moment must show half of it
        beside.replace(path)
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full; make room and start again",
            errno.EDQUOT: "the disk quota is used up; make room and start again",
            errno.EFBIG: "larger than a file may be here (ulimit -f); raise the limit",
            errno.EROFS: "the file system is read-only; choose another working directory",
            errno.EACCES: "no permission to write; choose another working directory",
            errno.EPERM: "no permission to write; choose another working directory",
        }
        if error.errno in reasons:
            raise UserError(f"{path}: {reasons[error.errno]}") from None
        raise
    finally:
        remove(beside)
        if old.exists() and not path.exists():
            old.rename(path)
        remove(old)


def _umask() -> int:
    # It can be read by setting it alone. One thread of a program writes.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _wait_for_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove_leftovers(path: Path) -> None:
    """Remove what killed writers of this very path left beside it."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.\d+(\.old)?\.part")
    for file in path.parent.iterdir():
        if leftover.fullmatch(file.name):
            remove(file)


def remove(path: Path) -> None:
    """Remove a file, or a folder with what is in it; fine if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
