"""Files that are whole or absent, whatever happens to their writers."""

import os
import subprocess
import sys
from pathlib import Path

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


def test_an_output_that_is_a_folder_is_named_and_left(tmp_path):
    path = tmp_path / "model.safetensors"
    (path / "mine").mkdir(parents=True)
    told = pytest.raises(UserError, match=r"model\.safetensors: a folder, where a file should be")
    with told, written_whole(path) as beside:
        beside.touch()
    assert names(tmp_path) == ["model.safetensors"]
    assert names(path) == ["mine"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    told = pytest.raises(UserError, match=r"/model: the disk is full; make room and start again$")
    with told, written_whole(tmp_path / "model") as beside:
        beside.write_text("half")
        Path("/dev/full").write_bytes(b"the rest")  # as any file on a full disk
    assert names(tmp_path) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_have_the_mode_that_the_umask_says(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with written_whole(tmp_path / "a") as beside:
            os.close(os.open(beside, os.O_CREAT, 0o600))  # as some libraries do
        assert (tmp_path / "a").stat().st_mode & 0o777 == mode
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np, torch
from tags2masks import checkpoints, store
from tags2masks.nets.checkpoint import save_model
from tags2masks.provenance import write_record
from tags2masks.program import run

network, folder = torch.nn.Linear(100, 100), Path(sys.argv[2])
writers = {
    "model": lambda: save_model(network, folder / "model.safetensors"),
    "checkpoint": lambda: checkpoints.save(
        checkpoints.State(folder, "f"), [network], [], None, [{}], False
    ),
    "shard": lambda: store.write_shard(
        folder / "0.zarr.zip", {"id": "x"}, "y", [("a", np.random.rand(100, 100), {})]
    ),
    "spec": lambda: write_record(folder / "spec.json", {"long": "x" * 4000}),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))  # what `ulimit -f 1` does
run(writers[sys.argv[1]])
"""


@pytest.mark.parametrize("kind", ["model", "checkpoint", "shard", "spec"])
def test_a_file_size_limit_ends_every_writer_with_one_line(tmp_path, kind):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, kind, str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(f"error: {tmp_path}/")
    assert "larger than a file may be here (ulimit -f)" in done.stderr
    assert names(tmp_path) == []
