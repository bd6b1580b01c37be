"""The container files name files and commands that there are. CI does not build them."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTAINERS = ROOT / "containers"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments; continued lines are joined."""
    text = (CONTAINERS / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def dockerfile_copies() -> dict[str, str]:
    """Where the Dockerfile puts each file or folder of the clone, relative to its work folder."""
    places = {}
    for name, rest in instructions():
        if name == "COPY" and "--from" not in rest:
            *sources, target = rest.split()
            places |= {s: s if target == "./" else target for s in sources}
    return places


def section(name: str) -> list[str]:
    """The lines of a section of apptainer.def, without comments and indentation."""
    text = (CONTAINERS / "apptainer.def").read_text(encoding="utf-8")
    body = re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", text, re.DOTALL | re.MULTILINE)[1]
    lines = (line.strip() for line in body.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def apptainer_copies() -> dict[str, str]:
    """The same of apptainer.def."""
    lines = (line.split() for line in section("files"))
    return {source: target.removeprefix("/opt/tags2masks/") for source, target in lines}


@pytest.mark.parametrize(
    "copies", [dockerfile_copies(), apptainer_copies()], ids=["docker", "apptainer"]
)
def test_what_is_copied_is_all_that_a_wheel_is_built_from(copies, tmp_path):
    def wheel(source: Path, name: str) -> list[tuple[str, int]]:
        build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
        folder = tmp_path / name
        subprocess.run([*build, str(folder)], cwd=source, check=True, capture_output=True)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
            return [(file.filename, file.CRC) for file in archive.infolist()]

    image = tmp_path / "image"
    image.mkdir()
    for source, target in copies.items():
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        (image / target).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / source, image / target)
    assert wheel(image, "copied") == wheel(ROOT, "whole")
    assert {"Makefile", "constraints.txt"} <= copies.keys()


def test_both_files_make_the_same():
    assert dockerfile_copies() == apptainer_copies()
    arguments = dict(rest.split("=", 1) for name, rest in instructions() if name == "ARG")
    assert arguments == dict(line.split("=", 1) for line in section("arguments"))
    ignored = (CONTAINERS / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == dockerfile_copies().keys()


def test_the_commands_exist():
    """What the recipes run: `make setup` with variables that the Makefile has, and `tags2masks`."""
    run = " && ".join(rest for name, rest in instructions() if name == "RUN")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for script in (run, "\n".join(section("post"))):
        target, *variables = shlex.split(re.search(r"\bmake (setup .*?)(?: &&|$)", script, re.M)[1])
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        names = [variable.partition("=")[0] for variable in variables]
        assert names == ["INSTALL", "SYSTEM_TORCH", "TORCH_INDEX"]
        assert all(re.search(rf"^{name} \?=", makefile, re.MULTILINE) for name in names)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"].keys() == {"tags2masks"}
    assert ("ENTRYPOINT", '["tags2masks"]') in instructions()
    assert section("runscript") == ['exec tags2masks "$@"']


def test_the_shell_of_the_recipe_parses():
    for script in (section("post"), section("test"), section("runscript")):
        text = "\n".join(script)
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    for name, rest in instructions():
        if name == "RUN":
            text = re.sub(r"^--mount=\S+", "", rest)
            subprocess.run(["sh", "-n"], input=text, text=True, check=True)
