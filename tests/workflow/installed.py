"""The wheel of this checkout, installed into a Python of its own."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

from tests.workflow.conftest import ROOT
from tests.workflow.preloaded import alone


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout in a folder; its path."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, str(folder)], cwd=ROOT, check=True, timeout=120, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


class Installation:
    """A Python with the wheel and the packages of this one, without its editable tags2masks."""

    def __init__(self, folder: Path):
        venv.create(folder, symlinks=True)
        self.binaries = folder / "bin"
        self.packages = Path(
            sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
        )
        # A line of a .pth file is a folder to import from; .pth files in that folder do not count.
        lines = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (self.packages / "development.pth").write_text("\n".join(lines) + "\n")
        wheel = build_wheel(folder / "wheel")
        pip = [sys.executable, "-m", "pip", "--python", str(self.binaries / "python")]
        pip += ["install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
        # The editable one is found too; it is to stay as it is.
        pip += ["--ignore-installed", str(wheel)]
        subprocess.run(pip, check=True, timeout=120)

    def run(
        self,
        folder: Path,
        program: str,
        *arguments: str,
        environment: Mapping[str, str] = os.environ,
        timeout: int = 120,
    ) -> subprocess.CompletedProcess:
        """Run one of its programs in a folder, with nothing of the tests' own environment."""
        environment = {
            name: value
            for name, value in alone(environment).items()
            if not name.startswith(("SNAKEMAKE", "PYTHON", "TAGS2MASKS"))
        }
        return subprocess.run(
            [str(self.binaries / program), *arguments], cwd=folder, env=environment, text=True,
            capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip
