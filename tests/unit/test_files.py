"""Files that are whole or absent, whatever happens to their writers."""

import subprocess
import sys

import pytest

from tags2masks.errors import UserError
from tags2masks.files import written_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from tags2masks.files import written_whole

with written_whole(sys.argv[1]) as beside:
    if sys.argv[2] == "file":
        beside.write_text("half")
    else:
        beside.mkdir()
        (beside / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""

KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from tags2masks.files import written_whole

with written_whole(sys.argv[1]) as beside:
    beside.mkdir()
    Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(code, *arguments):
    """Run a program that kills itself."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=False)
    assert done.returncode == -9


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, kind):
    path = tmp_path / "1.zarr.zip"
    path.write_text("before")
    for _ in range(2):
        killed(KILLED, path, kind)
        assert path.read_text() == "before"
        assert len(names(tmp_path)) == 2
    with written_whole(path) as beside:
        assert names(tmp_path) == ["1.zarr.zip"]
        beside.write_text("after")
    assert names(tmp_path) == ["1.zarr.zip"]
    assert path.read_text() == "after"


def test_other_files_are_not_touched(tmp_path):
    others = [".1.zip.part", ".1.zip.7.old.part.csv", ".1.zip.b.7.part", ".11.zip.7.part", "1.zip"]
    for name in others:
        (tmp_path / name).touch()
    with written_whole(tmp_path / "1.zip") as beside:
        beside.touch()
    assert names(tmp_path) == sorted(others)


def test_a_folder_is_replaced_whole_or_is_absent(tmp_path):
    path = tmp_path / "masks"
    path.mkdir()
    (path / "old.png").touch()
    killed(KILLED_BETWEEN, path)
    assert not path.exists()  # not half of the old one
    with written_whole(path) as beside:
        beside.mkdir()
        (beside / "new.png").touch()
    assert names(tmp_path) == ["masks"]
    assert names(path) == ["new.png"]
    with written_whole(path) as beside:
        beside.mkdir()
    assert names(tmp_path) == ["masks"]
    assert names(path) == []


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "masks"
    path.mkdir()
    (path / "old.png").touch()

    def refuse(*_):
        raise PermissionError(1, "not permitted")

    with pytest.raises(UserError, match="no permission to write"), written_whole(path) as beside:
        beside.mkdir()
        monkeypatch.setattr(type(path), "replace", refuse)
    assert names(tmp_path) == ["masks"]
    assert names(path) == ["old.png"]
