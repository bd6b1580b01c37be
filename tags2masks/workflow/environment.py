"""Environment variables of jobs, and whether the machine has a GPU."""

import os
import sys
from pathlib import Path


def use_checkout(folder: str) -> None:
    """Make `python` in jobs this Python, and a clone importable from any directory.

    folder: that of the Snakefile. The packages of a wheel are found without it.
    """
    paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    binaries = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([binaries, os.environ.get("PATH", os.defpath)])


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU with a driver, without importing torch."""
    return Path("/dev/nvidia0").exists()
