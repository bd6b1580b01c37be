"""Every command line of the README and of docs/ runs: as a dry run, in a copy of the project.

The programs of docs/examples/ run to their end.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from docs.examples import surface_defects
from tags2masks.files import remove
from tests.workflow.conftest import ROOT, fresh_project
from tests.workflow.preloaded import python

PROGRAMS = ("snakemake", "tags2masks", "make")
# Words that stand for something of the reader's, and what they stand for here.
STANDS_FOR = {
    "PLACE": ".",
    "CONFIG": "config.yaml",
    "RULE": "crf",
    "PATH": "results/digits/train.csv",
    "<reader>": "digits",
    "~/site": "site",
    "voc/vanilla/cam/crf/deeplabv3plus": "digits/vanilla/cam/crf/deeplabv3plus",
}
# Commands whose files later ones need; each is run again when it is tested.
WRITTEN = {
    ("init", "photos", "--out", "photos.yaml"): ("photos.yaml", "photos-data"),
    (
        "import", "coco", "export/instances.json", "pets", "--images", "photos", "--val", "0.2",
    ): ("pets",),
    ("init", "pets", "--out", "pets-first.yaml"): ("pets-first.yaml",),
}  # fmt: skip
INSTANCES = {
    "images": [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48} for n in range(12)],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    "annotations": [
        {"image_id": n, "category_id": 1 + n % 2, "bbox": [1, 1, 9, 9]} for n in range(12)
    ],
}
# With these no dry run is possible, nor needed.
WITHOUT_DRY_RUN = {"--unlock", "--touch"}
# These need a finished run (test_export.py has those of tags2masks), or end with findings
# (test_lint.py), or need an empty folder (test_wheel.py).
ELSEWHERE = (
    "snakemake --report",
    "snakemake --lint",
    "tags2masks examples",
    "tags2masks export",
    "tags2masks predict",
)
# Programs of the docs, which need no dry run: they write a folder.
EXAMPLES = "docs/examples/"
# Options that take all the words after them: a target that follows one is no target.
GREEDY = ("--configfile", "--forcerun")


def documented() -> list[tuple[str, str]]:
    """(file, command) for each in fenced blocks and between backquotes, each once."""
    found = {}
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = file.read_text(encoding="utf-8")
        blocks = re.findall(r"^```(?:bash|sh|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        lines = [line for block in blocks for line in block.splitlines()]
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        lines += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
        for line in lines:
            words = shlex.split(line, comments=True) if line.count("'") % 2 == 0 else []
            program = words[0].removeprefix(".venv/bin/") if words else ""
            command = shlex.join([program, *words[1:]])
            example = program == "python" and words[1:2] and words[1].startswith(EXAMPLES)
            known = example or (program in PROGRAMS and len(words) > 1)
            if known and not command.startswith(ELSEWHERE):
                found.setdefault(command, file.name)
    return [(file, command) for command, file in found.items()]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project as it is cloned, with what the docs have their readers write."""
    folder = tmp_path_factory.mktemp("documented")
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["datasets"]["digits"] |= {"train": 60, "val": 20}  # `tags2masks check` draws them
    rng = np.random.default_rng(0)
    for number in range(12):
        (folder / "photos" / ("cat", "dog")[number % 2]).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{('cat', 'dog')[number % 2]}/{number}.png")
    (folder / "export").mkdir()
    (folder / "export/instances.json").write_text(json.dumps(INSTANCES))
    experiment = "digits/vanilla/cam/crf/deeplabv3plus"
    config["predict"] = {"holiday": {"experiment": experiment, "images": "photos"}}
    made = fresh_project(folder, config)
    shutil.copy(folder / "config.yaml", folder / "pets.yaml")
    shutil.copytree(ROOT / "papers", folder / "papers")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / EXAMPLES, folder / EXAMPLES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface_defects, "IMAGES", {"train": 8, "val": 2})
        surface_defects.write_folder(folder / "surface-defects")
    (folder / "site").mkdir()
    (folder / "site/config.yaml").write_text("default-resources: [slurm_account=mine]\n")
    for words in WRITTEN:
        done = run_in(folder, ["-m", "tags2masks", *words])
        assert done.returncode == 0, done.stderr
    return made


def run_in(folder, words):
    """Run Python there with these words."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
    return subprocess.run(
        [*python(os.environ), *words], cwd=folder, env=environment, text=True, capture_output=True,
        timeout=120, check=False,
    )  # fmt: skip


def test_there_are_commands_and_their_targets_come_first():
    commands = [shlex.split(command) for _, command in documented()]
    assert len(commands) > 30
    for program, *words in commands:
        if program == "snakemake":
            after = [words[words.index(option) + 2 :] for option in GREEDY if option in words]
            assert all(not rest or rest[0].startswith("-") for rest in after), words
            # Without one of these Snakemake asks for cores, and does nothing.
            known = {"--cores", "--profile", "--dry-run", "-n", "--unlock"}
            assert known.intersection(words), words


@pytest.mark.parametrize(("file", "command"), documented())
def test_a_documented_command_runs(project, file, command, tmp_path):
    program, *words = shlex.split(command)
    if program == "python":
        start = [sys.executable, project.folder / words[0], *words[1:]]
        where = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(start, cwd=tmp_path, env=where, check=True, timeout=120)
        return
    words = [STANDS_FOR.get(word, word) for word in words]
    words = [
        str(path)
        for word in words
        for path in (sorted(project.folder.glob(word)) if "*" in word else [word])
    ]
    start = ["make", "--dry-run"] if program == "make" else [*python(os.environ), "-m", program]
    runs = program == "snakemake" or words[0] == "run"
    if runs and not WITHOUT_DRY_RUN.intersection(words):
        words.append("--dry-run")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
    for name in WRITTEN.get(tuple(words), ()):
        remove(project.folder / name)
    done = subprocess.run(
        [*start, *words], cwd=project.folder, env=environment, text=True, capture_output=True,
        timeout=120, check=False,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    assert "Traceback (most recent call last)" not in printed, printed
    if done.returncode and "papers/" in command:
        # The data of a paper is not here, and that alone is said.
        assert "does not exist" in printed, printed
        return
    assert done.returncode == 0, printed
