"""The environment that jobs run in."""

import os
import sys
from pathlib import Path


def use_checkout(folder: str) -> None:
    """Let `python` in a job be this Python, and find this checkout's code from any directory."""
    paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    binaries = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([binaries, os.environ.get("PATH", os.defpath)])
