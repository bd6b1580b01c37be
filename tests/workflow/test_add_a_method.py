"""The code of docs/add-a-method.md, put where the page says, makes methods that run to the end."""

import copy as copying
import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tags2masks.config.base import Entry
from tests.workflow.conftest import CONFIG, ROOT, Project

PAGE = ROOT / "docs" / "add-a-method.md"
NEW = "digits/vanilla/brightness/otsu/deeplabv3plus"


class Piece(NamedTuple):
    """A block of code of the page, and the file that the heading above it names."""

    file: str
    language: str
    code: str


def pieces() -> list[Piece]:
    """All of them in order; the file is empty under headings without one."""
    found, file = [], ""
    pattern = r"^#+ (?P<heading>[^\n]*)$|^```(?P<language>\w+)\n(?P<code>.*?)^```$"
    for match in re.finditer(pattern, PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if match["language"]:
            found.append(Piece(file, match["language"], match["code"]))
        else:
            file = "".join(re.findall(r"`([\w/.-]+)`", match["heading"]))
    return found


def apply(piece: Piece, folder: Path) -> None:
    """Put a piece where the page says."""
    path = folder / piece.file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if piece.language == "python" and not text:
        text = piece.code
    elif piece.language == "python":
        assert text.count("\nMETHODS = {") == 1, f"{piece.file} has no METHODS to stand above"
        text = text.replace("\nMETHODS = {", f"\n{piece.code}\n\nMETHODS = {{")
    elif piece.language == "diff":
        lines = piece.code.splitlines()
        before = "\n".join(line[1:] for line in lines if line[0] in " -") + "\n"
        after = "\n".join(line[1:] for line in lines if line[0] in " +") + "\n"
        assert text.count(before) == 1, f"{piece.file} has not the lines of the page:\n{before}"
        text = text.replace(before, after)
    elif piece.language == "markdown":
        stage = piece.code.split("`")[0]
        rows = re.findall(rf"^{re.escape(stage)}.*\n", text, re.MULTILINE)
        text = text.replace(rows[-1], rows[-1] + piece.code)
    else:
        raise AssertionError(f"{piece.language} is no language of the page")
    path.write_text(text, encoding="utf-8")


def config_of_page() -> dict:
    """The small config with the page's entries and experiments in addition to its own."""
    config = copying.deepcopy(CONFIG)
    config["segmenters"]["deeplabv3plus"] = config["segmenters"]["net"]
    for piece in pieces():
        if piece.language == "yaml":
            for section, entries in yaml.safe_load(piece.code).items():
                if isinstance(entries, list):
                    config[section] += entries
                else:
                    config[section] |= entries
    return config


def run(project: Project, *arguments: str) -> str:
    """Run a module of Python there, as a person does in a clone, and return what it printed."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(
        command, cwd=project.folder, text=True, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def clone(copy) -> Project:
    """The finished small run with all that a person edits, and their config."""
    for name in ("docs", "tests", "pyproject.toml"):
        copier = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copier(ROOT / name, copy.folder / name)
    copy.configure(config_of_page())
    return copy


def test_the_page_makes_methods_that_run_to_the_end(clone):
    code = [piece for piece in pieces() if piece.language != "yaml"]
    blocks = [piece for piece in code if piece.file.startswith("tags2masks/config/")]
    for piece in blocks:
        apply(piece, clone.folder)
    early = clone.snakemake("--dry-run")
    assert early.returncode != 0
    told = (early.stdout + early.stderr).strip().splitlines()
    assert told[-1].startswith("config: method brightness: ") and "maps/brightness.py" in told[-1]
    assert not any("Traceback" in line for line in told)

    for piece in code:
        if piece not in blocks:
            apply(piece, clone.folder)
    run(clone, "tags2masks.config.reference")
    run(clone, "tags2masks.workflow.architecture")
    assert "method: brightness" in (clone.folder / "docs/config.md").read_text("utf-8")
    files = [piece.file for piece in code if piece.file.endswith(".py")]
    run(clone, "ruff", "check", *files)
    run(clone, "ruff", "format", "--check", *files)
    own = [file for file in files if file.startswith("tests/")]
    passed = run(clone, "pytest", "-v", *own, "tests/unit/test_methods.py")
    for name in ("test_every_method_is_whole[maps-brightness]", "[masks-otsu]", *own):
        assert re.search(rf"{re.escape(name)}.* PASSED", passed), passed

    planned = clone.would_run()
    assert {"brightness", "otsu", "deeplabv3plus"} <= planned.keys()
    assert planned.keys() & {"digits", "vanilla", "cam", "threshold"} == set()
    clone.make()
    assert clone.would_run() == {}
    with (clone.folder / "results/leaderboard.csv").open(encoding="utf-8") as table:
        rows = {row["experiment"]: row for row in csv.DictReader(table)}
    for figure in ("seed_iou", "mask_iou", "prediction_iou"):
        assert 0 <= float(rows[NEW][figure]) <= 1
    page = (clone.folder / "results/report.html").read_text(encoding="utf-8")
    assert NEW in page or NEW.replace("/", " / ") in page


def test_the_page_names_every_class_variable_of_a_block():
    text = PAGE.read_text(encoding="utf-8")
    variables = [n for n, kind in Entry.__annotations__.items() if "ClassVar" in str(kind)]
    assert "helpers" in variables
    for name in [*variables, "offers", "modules()"]:
        assert f"`{name}`" in text, f"docs/add-a-method.md does not say what {name} is for"
