"""Files that are either whole or absent: written beside their place and renamed into it."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tags2masks.errors import UserError


@contextlib.contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it into place when the block ends well.

    After an exception the temporary file or folder is removed and `path` is as it was before.
    Raises UserError when the folder cannot be written or the disk is full.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        if beside.is_dir() and path.exists():
            shutil.rmtree(path)
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
        if beside.is_dir():
            shutil.rmtree(beside)
        else:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
