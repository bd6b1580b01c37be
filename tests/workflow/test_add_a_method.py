"""The code of docs/add-a-method.md, put where the page says, makes methods that run to the end."""

import copy as copying
import csv
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image

from tags2masks.config.base import Entry
from tests.workflow.conftest import CONFIG, ROOT, Project
from tests.workflow.preloaded import python

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "add-a-method.md"
PACKAGES = ("maps", "masks", "cleaned")


class Piece(NamedTuple):
    """A block of code of the page, its chapter, and the file that the heading above it names."""

    chapter: str
    file: str
    language: str
    code: str


def pieces(*chapters: str) -> list[Piece]:
    """Those of chapters whose titles begin like this, in order; config.yaml where none is named."""
    found, chapter, file = [], "", ""
    pattern = r"^(?P<level>#+) (?P<title>[^\n]*)$|^```(?P<language>\w+)\n(?P<code>.*?)^```$"
    for match in re.finditer(pattern, PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if match["language"]:
            found.append(Piece(chapter, file or "config.yaml", match["language"], match["code"]))
            continue
        file = "".join(re.findall(r"`([\w/.-]+)`", match["title"]))
        chapter = match["title"] if match["level"] == "##" else chapter
    chosen = [piece for piece in found if piece.chapter.startswith(chapters)]
    assert {piece.language for piece in chosen} >= {"python", "diff", "yaml"}
    return chosen


def apply(piece: Piece, folder: Path) -> None:
    """Put a piece where the page says."""
    path = folder / piece.file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if piece.language == "python" and not text:
        text = piece.code
    elif piece.language == "python":
        table = re.search(r"^(METHODS|KINDS)\b.* = \{$", text, re.MULTILINE)
        assert table, f"{piece.file} has no table to stand above"
        text = f"{text[: table.start()]}{piece.code}\n\n{text[table.start() :]}"
    elif piece.language == "diff":
        lines = piece.code.splitlines()
        before = "\n".join(line[1:] for line in lines if line[0] in " -") + "\n"
        after = "\n".join(line[1:] for line in lines if line[0] in " +") + "\n"
        assert text.count(before) == 1, f"{piece.file} has not the lines of the page:\n{before}"
        text = text.replace(before, after)
    elif piece.language == "bibtex":
        text += f"\n{piece.code}"
    elif piece.file == "CITATION.cff":
        text += piece.code
    elif piece.language == "markdown":
        stage = re.escape(piece.code.split("`")[0])
        rows = re.findall(rf"^{stage}.*\n", text, re.MULTILINE)
        rows = rows or re.findall(r"^\| [a-z, ]+ \| .*\n", text, re.MULTILINE)
        text = text.replace(rows[-1], rows[-1] + piece.code)
    elif piece.language == "yaml":
        config = yaml.safe_load(text)
        for section, entries in yaml.safe_load(piece.code).items():
            empty = [] if isinstance(entries, list) else {}
            both = config.get(section, empty), entries
            config[section] = both[0] + both[1] if empty == [] else both[0] | both[1]
        text = yaml.safe_dump(config)
    else:
        raise AssertionError(f"{piece.language} is no language of the page")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def run(project: Project, *arguments: str) -> str:
    """Run a module of Python there, as a person does in a clone, and return what it printed."""
    command = [*python(os.environ), "-m", *arguments]
    done = subprocess.run(
        command, cwd=project.folder, text=True, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def clone(copy) -> Project:
    """The finished small run with all that a person edits, and an entry of the demo's name."""
    for name in ("docs", "tests", "pyproject.toml", "CITATION.cff"):
        copier = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copier(ROOT / name, copy.folder / name)
    config = copying.deepcopy(CONFIG)
    config["segmenters"]["deeplabv3plus"] = config["segmenters"]["net"]
    copy.configure(config)
    return copy


def check_sources(clone: Project, files: list[str]) -> None:
    """What `make docs lint test` says of new files: in form, whole, and passing."""
    run(clone, "tags2masks.config.reference")
    run(clone, "tags2masks.workflow.architecture")
    run(clone, "ruff", "check", *files)
    run(clone, "ruff", "format", "--check", *files)
    own = [file for file in files if file.startswith("tests/")]
    checks = [f"tests/unit/test_{name}.py" for name in ("methods", "architecture", "cite")]
    passed = run(clone, "pytest", "-v", *dict.fromkeys([*own, *checks]))
    assert own and all(re.search(rf"{re.escape(file)}.* PASSED", passed) for file in own)
    for file in files:
        package, module = Path(file).parent.name, Path(file).stem
        if package in PACKAGES and module != "__init__":
            assert f"test_every_method_is_whole[{package}-{module}] PASSED" in passed, passed


def leaderboard(clone: Project) -> dict[str, dict[str, str]]:
    """The rows of leaderboard.csv by experiment."""
    with (clone.folder / "results/leaderboard.csv").open(encoding="utf-8") as table:
        return {row["experiment"]: row for row in csv.DictReader(table)}


def test_the_page_makes_methods_that_run_to_the_end(clone):
    code = pieces("1.", "2.", "3.", "4.", "5.", "A mask method")
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
    check_sources(clone, [piece.file for piece in code if piece.file.endswith(".py")])
    assert "method: brightness" in (clone.folder / "docs/config.md").read_text("utf-8")
    planned = clone.would_run()
    assert {"brightness", "otsu", "deeplabv3plus"} <= planned.keys()
    assert planned.keys() & {"digits", "vanilla", "cam", "threshold"} == set()
    clone.make()
    assert clone.would_run() == {}
    row = leaderboard(clone)["digits/vanilla/brightness/otsu/deeplabv3plus"]
    for figure in ("seed_iou", "mask_iou", "prediction_iou"):
        assert 0 <= float(row[figure]) <= 1


def test_the_page_makes_a_stage_that_runs_to_the_end(clone):
    code = pieces("A stage")
    for piece in code:
        apply(piece, clone.folder)
    check_sources(clone, [piece.file for piece in code if piece.file.endswith(".py")])
    planned = clone.would_run()
    assert planned.keys() & {"digits", "vanilla", "cam", "crf", "deeplabv3plus"} == set()
    assert (planned["largest"], planned["measure_labels"]) == (2, 1)
    clone.make()
    assert clone.would_run() == {}
    assert "digits/vanilla/cam/crf/largest" in leaderboard(clone)
    with (clone.folder / "results/metrics.csv").open(encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if row["stage"] == "cleaned"]
    assert {"iou", "precision", "recall"} <= {row["metric"] for row in rows}
    page = (clone.folder / "results/report.html").read_text(encoding="utf-8")
    assert re.search(r"mask \d+\.\d %, cleaned \d+\.\d %", page)


def draw_shapes(folder: Path) -> None:
    """Twelve images of bright or dark squares on grey, with masks and a list per split."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for split, numbers in {"train": range(8), "val": range(8, 12)}.items():
        lines = []
        for number in numbers:
            bright = number % 2 == 0
            image = rng.integers(100, 140, (32, 32, 3), dtype=np.uint8)
            mask = np.zeros((32, 32), np.uint8)
            top, left = rng.integers(0, 16, 2)
            inside = np.s_[top : top + 16, left : left + 16]
            image[inside], mask[inside] = (250 if bright else 5), (1 if bright else 2)
            Image.fromarray(image).save(folder / f"images/{number}.png")
            Image.fromarray(mask).save(folder / f"masks/{number}.png")
            lines.append(f"{number} {'bright' if bright else 'dark'}")
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_the_page_makes_a_reader_whose_images_run_to_the_end(clone):
    code = pieces("A kind of data set")
    for piece in code:
        apply(piece, clone.folder)
    check_sources(clone, [piece.file for piece in code if piece.file.endswith(".py")])
    absent = clone.snakemake("--dry-run")
    assert "config: datasets.mine: data/train.txt does not exist" in absent.stdout + absent.stderr
    draw_shapes(clone.folder / "data")
    planned = clone.would_run()
    assert {"lines", "lines_truth", "vanilla", "deeplabv3plus"} <= planned.keys()
    assert not {rule for rule in planned if rule.startswith("digits")}
    clone.make()
    assert clone.would_run() == {}
    row = leaderboard(clone)["mine/vanilla/cam/crf/deeplabv3plus"]
    assert (row["train_images"], row["prediction_images"]) == ("8", "4")
    for figure in ("seed_iou", "mask_iou", "prediction_iou"):
        assert 0 <= float(row[figure]) <= 1


def test_the_page_names_every_class_variable_of_a_block():
    text = PAGE.read_text(encoding="utf-8")
    variables = [n for n, kind in Entry.__annotations__.items() if "ClassVar" in str(kind)]
    assert "helpers" in variables
    for name in [*variables, "offers", "modules()"]:
        assert f"`{name}`" in text, f"docs/add-a-method.md does not say what {name} is for"
