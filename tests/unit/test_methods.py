"""Every method is whole: block, module, unit test, row on the methods page, rule."""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
import yaml

from tags2masks.config.base import ConfigError, Entry
from tags2masks.config.datasets import KINDS
from tags2masks.config.map_base import Maps
from tags2masks.config.methods import METHODS
from tags2masks.methods import methods_of, rule_of
from tags2masks.stages import STAGES
from tags2masks.workflow.catalog import check_modules
from tags2masks.workflow.sources import imports_in, module_path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "experiments": ["digits / vanilla"],
}


@cache
def imported_by_tests() -> frozenset[str]:
    """The modules that unit tests import, and the names that they import from modules."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "tests/unit").glob("test_*.py")]
    return frozenset(name for tree in trees for name, _ in imports_in(tree))


@cache
def rows_of_page() -> frozenset[tuple[str, str]]:
    """(stage, method) of the rows of docs/methods.md."""
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w, ]+) \| `(\w+)` \|", page, re.MULTILINE)
    return frozenset((stage, method) for stages, method in rows for stage in stages.split(", "))


@pytest.fixture(scope="module")
def listed(tmp_path_factory) -> list[str]:
    """The names of the workflow's rules, which are the same for every config."""
    folder = tmp_path_factory.mktemp("list")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--list-rules", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", folder]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def rules_of(package: str, method: str) -> list[str]:
    """The names of a method's rules, as the table of stages has them."""
    stages = [stage for stage in STAGES.values() if stage.package == package]
    return [rule_of(stage, method) for stage in stages if method in methods_of(stage)]


def lacking(package: str, method: str, block: type[Entry], rules: list[str]) -> list[str]:
    """What a method is without, one message each."""
    found = []
    module = f"tags2masks.{package}.{method}"
    if module_path(module) is None:
        found.append(f"{method}: no module {module.replace('.', '/')}.py")
    if not {module, f"{block.__module__}.{block.__name__}"} & imported_by_tests():
        found.append(f"{method}: no test in tests/unit imports {module} or {block.__name__}")
    stages = {stage.name for stage in STAGES.values() if stage.package == package}
    if not {(stage, method) for stage in stages} & rows_of_page():
        found.append(f"{method}: no row on the methods page, docs/methods.md")
    own = rules_of(package, method)
    if not own or not set(own) <= set(rules):
        found.append(f"{method}: no rule {' or '.join(own) or '(no stage has the method)'}")
    return found


@pytest.mark.parametrize(
    ("package", "method"), [(package, m) for package, blocks in METHODS.items() for m in blocks]
)
def test_every_method_is_whole(package, method, listed):
    assert lacking(package, method, METHODS[package][method], listed) == []


def test_no_two_rules_share_a_name(listed):
    names = [rule_of(s, m) for s in STAGES.values() for m in methods_of(s)]
    for file in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        names += re.findall(r"^rule (\w+):", file.read_text("utf-8"), re.MULTILINE)
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert set(names) <= set(listed)
    assert [name for name, count in Counter(listed).items() if count > 1] == []


class MadeUp(Maps):
    """A block without anything else."""

    method: Literal["made_up"] = "made_up"


@pytest.mark.parametrize("package", METHODS)
def test_a_method_that_is_a_block_alone_lacks_the_rest(monkeypatch, package, listed):
    monkeypatch.setitem(METHODS[package], "made_up", MadeUp)
    told = lacking(package, "made_up", MadeUp, listed)
    words = ("module", "test", "methods page", "rule")
    assert [word for word in words if any(word in message for message in told)] == list(words)
    assert len(told) == len(words)


def test_every_method_has_its_module_when_the_config_is_read(monkeypatch):
    check_modules()
    monkeypatch.setitem(METHODS["maps"], "made_up", MadeUp)
    told = (
        r"method made_up: tags2masks/config/maps\.py has its block, but there is no "
        r"tags2masks/maps/made_up\.py; write it"
    )
    with pytest.raises(ConfigError, match=told):
        check_modules()


def test_every_kind_of_data_and_every_program_has_its_module(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(KINDS, "made_up", MadeUp)
        with pytest.raises(ConfigError, match=r"kind made_up: .* tags2masks/data/made_up\.py;"):
            check_modules()
    monkeypatch.setattr(METHODS["masks"]["irn"], "program", "made_up")
    with pytest.raises(ConfigError, match=r"program of irn: .* workflow_scripts/made_up\.py;"):
        check_modules()
