"""The user's paths: open regular files only, and check that names stay in their folder."""

import errno
import io
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tags2masks.errors import UserError

NO_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_given(path: Path | str) -> None:
    """Raise OSError unless the path is a regular file.

    Also for names that are invalid; the error's `strerror` says what is wrong.
    """
    try:
        kind = stat.S_IFMT(Path(path).stat().st_mode)
    except ValueError:  # a NUL, or half a UTF-16 pair
        raise OSError(errno.EINVAL, "no name that a file can have", str(path)) from None
    if kind != stat.S_IFREG:
        said = f"{NO_FILES.get(kind, 'something else')}, where a file should be"
        raise OSError(errno.EINVAL, said, str(path))


def open_given(path: Path | str) -> BinaryIO:
    """Open a file to read bytes; raises as `check_given`, or if it is not readable.

    Pipes and devices are not opened, because reading them may block forever.
    """
    check_given(path)
    return Path(path).open("rb")


def read_given(path: Path | str) -> bytes:
    """Read all bytes of a file; raises as `open_given`."""
    with open_given(path) as file:
        return file.read()


def read_text(path: Path | str) -> str:
    """Read the text of a UTF-8 file, with line ends converted to "\\n".

    Raises as `open_given`, and UnicodeDecodeError (a ValueError).
    """
    with io.TextIOWrapper(open_given(path), encoding="utf-8") as text:
        return text.read()


def is_given(path: Path | str) -> bool:
    """Whether the path is a file; False for invalid names too."""
    try:
        check_given(path)
    except OSError:
        return False
    return True


def leads_outside(name: str) -> bool:
    """Whether a name, as a path below a folder, may lead out of the folder."""
    return name.startswith("/") or ".." in PurePosixPath(name).parts


def path_inside(folder: Path, name: str) -> Path:
    """The path of this name below a folder, for writing.

    Links are followed. Raises UserError if the path leads out of the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"'{name[:80]}' leads out of {folder}; rename the image")
    return path


def file_of_each(images: Iterable[str], folder: Path, suffix: str, what: str) -> dict[str, Path]:
    """The file `<image><suffix>` of each image, by its name.

    what: what they hold, for the message. Raises UserError for those that are missing, together.
    """
    files = {image: folder / f"{image}{suffix}" for image in images}
    absent = [file for file in files.values() if not is_given(file)]
    if absent:
        raise UserError(
            f"{absent[0]}: no such {what}; {len(absent)} of {len(files)} images have none: give "
            "each one, or leave its image out of the data set"
        )
    return files
