"""`make setup` and its options, with a Python and a pip that only note what they are asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
TORCH = [line for line in PINS if line.startswith(("torch==", "torchvision=="))]

# As `python -m venv … FOLDER`; the settings are those of a venv.
PYTHON = """#!/bin/sh
echo "python $*" >>calls
for folder; do :; done
mkdir -p "$folder/bin"
cp pip "$folder/bin/pip"
system=false
[ "$3" = --system-site-packages ] && system=true
echo "include-system-site-packages = $system" >"$folder/pyvenv.cfg"
"""
PIP = """#!/bin/sh
echo "pip $*" >>calls
[ "$2" = list ] && cat installed
exit 0
"""


@pytest.fixture
def clone(tmp_path):
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name, text in (("python", PYTHON), ("pip", PIP)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def setup(clone, *options):
    """Run it; its exit status and standard error."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["make", "--silent", "setup", "PYTHON=./python", *options], cwd=clone, text=True,
        env=environment, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def calls(clone):
    """What was called, and the versions that the last installation was held to."""
    lines = (clone / "calls").read_text().splitlines()
    pins = (clone / ".venv/constraints.txt").read_text().splitlines()
    (clone / "calls").unlink()
    return lines, pins


INSTALL = (
    "pip --disable-pip-version-check install --quiet --no-compile "
    "--constraint .venv/constraints.txt --editable .[dev,onnx]"
)


def test_torch_is_pinned(clone):
    assert setup(clone) == (0, "")
    assert calls(clone) == (["python -m venv .venv", INSTALL], PINS)
    assert len(TORCH) == 2


def test_torch_of_another_index(clone):
    assert setup(clone, "TORCH_INDEX=https://example.org/cpu") == (0, "")
    lines, pins = calls(clone)
    assert lines[1:] == [
        "pip --disable-pip-version-check install --quiet --no-compile "
        "--index-url https://example.org/cpu " + " ".join(TORCH),
        INSTALL,
    ]
    assert pins == PINS


def test_torch_of_the_system_stays(clone):
    own = ["torch==2.6.0a0+ecf3bae40a.nv25.1", "torchvision==0.20.0a0"]
    (clone / "installed").write_text("\n".join(["numpy==1.26.4", *own, "torchaudio==2.6.0"]) + "\n")
    assert setup(clone, "SYSTEM_TORCH=1") == (0, "")
    lines, pins = calls(clone)
    assert lines[0] == "python -m venv --system-site-packages .venv"
    assert lines[-1] == INSTALL
    assert pins == [line for line in PINS if line not in TORCH] + own
    # New pins: set up again, without the option, as `make test` does.
    (clone / ".venv/.ready").unlink()
    assert setup(clone) == (0, "")
    assert calls(clone) == (lines, pins)


def test_without_a_torch_of_the_system_nothing_is_installed(clone):
    (clone / "installed").write_text("torch==2.6.0\n")
    status, error = setup(clone, "SYSTEM_TORCH=1")
    assert status == 2
    assert error.splitlines()[0] == (
        "error: SYSTEM_TORCH=1, but ./python does not have both torch and torchvision; install "
        "them there, or set up without SYSTEM_TORCH"
    )
    assert not any(" install " in line for line in calls(clone)[0])
    assert not (clone / ".venv/.ready").exists()
