"""Environment variables of jobs."""

import os
import sys
from pathlib import Path


def use_checkout(folder: str) -> None:
    """Make `python` in jobs this Python, and this checkout importable from any directory."""
    paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    binaries = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([binaries, os.environ.get("PATH", os.defpath)])
