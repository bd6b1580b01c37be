"""Which torch and torchvision there are, and whether they fit together, without importing them.

Importing them takes seconds, and the process that plans a run needs neither.
"""

import re
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from tags2masks.errors import UserError

HELP = "see docs/install.md, 'Your own torch'"


def versions() -> tuple[str, str]:
    """The versions of torch and torchvision with their builds, such as `2.12.1+cu130`.

    Raises UserError if one is absent, or if they do not fit together.
    """
    torch, vision = _version("torch"), _version("torchvision")
    if reason := unfit(torch, vision, _made_for()):
        raise UserError(f"torch {torch} and torchvision {vision} do not fit together: {reason}")
    return torch, vision


def unfit(torch: str, vision: str, made_for: str | None) -> str:
    """Why a torch and a torchvision cannot work together and what to do; empty if nothing is known.

    made_for: the version of torch that torchvision's metadata asks for, None if it asks for none.
    Patch releases of torch and minor releases of CUDA may differ.
    """
    if made_for is not None and Version(made_for).release[:2] != Version(torch).release[:2]:
        return f"this torchvision is built for torch {made_for}; install both together, {HELP}"
    builds = _build(torch), _build(vision)
    if None not in builds and builds[0] != builds[1]:
        built = f"one is built for {builds[0]}, the other for {builds[1]}"
        return f"{built}; install both together, {HELP}"
    return ""


def _version(package: str) -> str:
    """`__version__` in the package's version.py: metadata may leave out the build."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"{package} is not installed; install torch and torchvision, {HELP}")
    file = Path(spec.origin).with_name("version.py")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if found := re.search(r"^__version__\b.*?=\s*['\"](.+?)['\"]", text, re.MULTILINE):
        return found[1]
    raise UserError(f"{file}: names no version; install {package} again, {HELP}")


def _made_for() -> str | None:
    try:
        wanted = [Requirement(line) for line in requires("torchvision") or []]
    except PackageNotFoundError:  # installed without metadata
        return None
    specifiers = [pin for need in wanted if need.name == "torch" for pin in need.specifier]
    pins = [pin.version for pin in specifiers if pin.operator == "=="]
    return pins[0] if pins else None


def _build(version: str) -> str | None:
    """What a version's label says it is built for; None if it says nothing known."""
    found = re.match(r"cpu|cu(?=\d+)|rocm|xpu", Version(version).local or "")
    if found is None:
        return None
    # cu118 is CUDA 11.8, cu130 is CUDA 13.0.
    label = Version(version).local
    return {"cpu": "the CPU", "cu": f"CUDA {label[2:4]}", "rocm": "ROCm", "xpu": "XPU"}[found[0]]
