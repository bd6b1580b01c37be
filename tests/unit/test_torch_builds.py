"""Which torch and torchvision there are, and whether they fit."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision

from tags2masks.errors import UserError
from tags2masks.workflow import torch_builds
from tags2masks.workflow.torch_builds import unfit, versions

ROOT = Path(__file__).resolve().parents[2]
HELP = "install both together, see docs/install.md, 'Your own torch'"


def test_those_of_this_python_are_told_and_fit():
    assert versions() == (torch.__version__, torchvision.__version__)


def test_torch_is_not_imported_for_that():
    code = "import sys; from tags2masks.workflow.torch_builds import versions; versions()"
    code += "; print('torch' in sys.modules, 'torchvision' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


@pytest.mark.parametrize(
    ("torch", "vision", "made_for", "reason"),
    [
        ("2.12.1+cu130", "0.27.1+cu130", "2.12.1", ""),
        ("2.12.0+cu126", "0.27.1+cu128", "2.12.1", ""),
        ("2.7.0a0+7c8ec84dab.nv25.03", "0.22.0a0+abc", None, ""),
        ("2.7.0a0+7c8ec84dab.nv25.03", "0.22.0a0+abc", "2.7.0a0", ""),
        ("2.12.1", "0.27.1+cpu", "2.12.1", ""),
        ("2.13.0+cpu", "0.27.1+cpu", "2.12.1",
         f"this torchvision is built for torch 2.12.1; {HELP}"),
        ("2.12.1+cpu", "0.27.1+cu130", "2.12.1",
         f"one is built for the CPU, the other for CUDA 13; {HELP}"),
        ("2.5.0+cu118", "0.20.0+cu124", "2.5.0",
         f"one is built for CUDA 11, the other for CUDA 12; {HELP}"),
        ("2.5.0+rocm6.2", "0.20.0+cu124", "2.5.0",
         f"one is built for ROCm, the other for CUDA 12; {HELP}"),
    ],
)  # fmt: skip
def test_what_does_not_fit(torch, vision, made_for, reason):
    assert unfit(torch, vision, made_for) == reason


def package(folder, name, text):
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    if text is not None:
        (folder / name / "version.py").write_text(text)


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A folder, which is all that Python finds packages in."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in ("torch", "torchvision"):
        monkeypatch.delitem(sys.modules, name)
    sys.path_importer_cache.clear()
    return tmp_path


def test_a_pair_that_does_not_fit_is_refused(alone):
    package(alone, "torch", "__all__ = []\n__version__ = '2.12.1+cpu'\ncuda = None\n")
    package(alone, "torchvision", "__version__: str = '0.27.1+cu130'\n")
    with pytest.raises(UserError) as caught:
        versions()
    assert str(caught.value) == (
        "torch 2.12.1+cpu and torchvision 0.27.1+cu130 do not fit together: one is built for the "
        f"CPU, the other for CUDA 13; {HELP}"
    )


def test_metadata_says_what_torchvision_is_built_for(alone):
    package(alone, "torch", "__version__ = '2.13.0'\n")
    package(alone, "torchvision", "__version__ = '0.27.1'\n")
    (alone / "torchvision-0.27.1.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.27.1\n"
    (alone / "torchvision-0.27.1.dist-info/METADATA").write_text(
        metadata + "Requires-Dist: numpy\nRequires-Dist: torch (==2.12.1)\n"
    )
    with pytest.raises(UserError, match=r"built for torch 2\.12\.1; install both together"):
        versions()


def test_an_absent_torch_is_told(alone):
    with pytest.raises(UserError, match=r"^torch is not installed; install torch and torchvision"):
        versions()
    package(alone, "torch", "__version__ = '2.12.1'\n")
    with pytest.raises(UserError, match=r"^torchvision is not installed; install"):
        versions()
    package(alone, "torchvision", None)
    with pytest.raises(UserError, match=r"version\.py: names no version; install torchvision aga"):
        versions()


def test_the_page_that_errors_name_is_there():
    page, heading = re.fullmatch(r"see (.+), '(.+)'", torch_builds.HELP).groups()
    text = (ROOT / page).read_text(encoding="utf-8")
    assert f"\n## {heading}\n" in text
    # Its example of the error is as a run prints it.
    pair = ("2.13.0+cpu", "0.28.0+cu130")
    printed = f"torch {pair[0]} and torchvision {pair[1]} do not fit together: {unfit(*pair, None)}"
    assert f"\nerror: {printed}\n" in text
