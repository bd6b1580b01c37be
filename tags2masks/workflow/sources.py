"""Digests of the code of a rule, so that only edited methods run again."""

import ast
import contextlib
import hashlib
import json
import os
import sys
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tags2masks", "workflow_scripts")

# Config blocks and the table of stages only hold values, which reach a rule through its recipe and
# inputs. A new method or stage there must not rerun the others.
NOT_FOLLOWED = ("tags2masks.config", "tags2masks.stages")


def source_digest(*modules: str) -> str:
    """12 hex digits over the syntax trees of the modules and all they import from this project.

    Comments, docstrings and layout do not count. Imports inside functions are followed. Modules
    that are imported by name at run time, such as methods, must be given as further roots.
    Raises ModuleNotFoundError for a root that does not exist.
    """
    digest = hashlib.sha256()
    for name, tree in sorted(_closure(modules).items()):
        digest.update(f"{name}\n{tree}\n".encode())
    return digest.hexdigest()[:12]


def imports_in(tree: ast.AST) -> list[tuple[str, int]]:
    """The imports of a module, also inside functions, with their lines.

    `from a import b` gives both `a` and `a.b`, whether b is a module or a name in a. There are no
    relative imports (ruff's TID252).
    """
    imports = []
    for node in statements(tree):
        if isinstance(node, ast.Import):
            imports += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            imports += [(name, node.lineno) for name in names]
    return imports


def statements(tree: ast.AST) -> list[ast.AST]:
    """The tree and all its statements, nested ones too; expressions hold none."""
    found = [tree]
    for node in found:
        for block in ("body", "handlers", "orelse", "finalbody", "cases"):
            inner = getattr(node, block, ())
            found += inner if isinstance(inner, list) else ()
    return found


def module_path(module: str) -> Path | None:
    """The file of a module of this project; None if there is none."""
    return _modules(ROOT).get(module)


@cache
def _modules(root: Path) -> dict[str, Path]:
    """All modules of this project. Asking the disk for each name took a tenth of a dry run."""
    files = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    parts = {path: path.relative_to(root).with_suffix("").parts for path in files}
    return {
        ".".join(names[:-1] if names[-1] == "__init__" else names): path
        for path, names in parts.items()
    }


def _closure(roots: tuple[str, ...]) -> dict[str, str]:
    """The digest of each module that the roots import, by its name."""
    trees: dict[str, str] = {}
    waiting, met = list(roots), set()
    for name in roots:
        if module_path(name) is None:
            raise ModuleNotFoundError(f"no module {name} under {ROOT}")
    while waiting:
        name = waiting.pop()
        if name in met or name.startswith(NOT_FOLLOWED):
            continue
        met.add(name)
        path = module_path(name)
        if path is None:
            continue  # a name in a module; the module itself is followed
        trees[name], imported = _read(path, _stamp(path))
        waiting += imported
        waiting += [name.rpartition(".")[0]] if "." in name else []
    return trees


def _stamp(path: Path) -> tuple[int, int]:
    """What differs between two states of a file."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@cache
def _read(path: Path, stamp: tuple[int, int]) -> tuple[str, list[str]]:
    """`_parsed`, kept beside the module's bytecode and used like it.

    Parsing took a fifth of Snakemake's time in the tests. Other processes may keep the same at the
    same time.
    """
    beside = Path(cache_from_source(str(path))).with_suffix(".digest.json")
    of = [*stamp, *_stamp(Path(__file__))]  # as other code here may give other digests
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(beside.read_text(encoding="utf-8"))
        if kept["of"] == of:
            return kept["tree"], kept["imported"]
    tree, imported = _parsed(path)
    if not sys.dont_write_bytecode:
        with contextlib.suppress(OSError):
            beside.parent.mkdir(exist_ok=True)
            new = beside.with_name(f"{beside.name}.{os.getpid()}")
            new.write_text(json.dumps({"of": of, "tree": tree, "imported": imported}))
            new.replace(beside)
    return tree, imported


def _parsed(path: Path) -> tuple[str, list[str]]:
    """A digest of the module's syntax tree, and the names it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    imported = [name for name, _ in imports_in(tree) if name.partition(".")[0] in PACKAGES]
    for node in statements(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imported
