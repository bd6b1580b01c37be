"""Atomic writing: files are written under a temporary name beside their path and renamed."""

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
    """Yield a temporary path beside `path`, and rename it to `path` if the block succeeds.

    After an exception the temporary file or folder is removed and `path` is unchanged. A killed
    process leaves the temporary file; the next writer of `path` removes it. So a path must have
    only one writer at a time, on any machine; Snakemake's lock ensures that. A file is synced to
    disk before it is renamed, so that a power cut cannot leave an empty file; the files of a folder
    are not synced. The file gets the mode given by the umask.
    Raises UserError if the folder cannot be written, the disk is full, the file exceeds the allowed
    size, or a folder is in the place of the file.
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
            path.rename(old)  # removed after the replacement: `path` is never incomplete
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
    # The umask can only be read by setting it. Only one thread of a program writes files.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _wait_for_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of killed writers of this path."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.\d+(\.old)?\.part")
    for file in path.parent.iterdir():
        if leftover.fullmatch(file.name):
            remove(file)


def remove(path: Path) -> None:
    """Remove a file, or a folder with its contents; it need not exist."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
