"""The packages of the library import one way."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "tags2masks"


def rooms_imported(room):
    """The other packages and modules at the top that a package or module imports."""
    files = [room] if room.is_file() else room.rglob("*.py")
    found = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for package, *inner in (name.split(".") for name in names):
                assert package != "workflow_scripts", f"{path} imports a program"
                if package == "tags2masks" and inner[0] != room.stem:
                    found.add(inner[0])
    return found


def test_no_import_arrow_runs_back():
    rooms = {path.stem: path for path in LIBRARY.iterdir() if path.suffix == ".py" or path.is_dir()}
    arrows = {name: rooms_imported(path) for name, path in rooms.items() if name != "__pycache__"}
    packages = [name for name in arrows if rooms[name].is_dir()]
    needed = {}
    for package in packages:
        # A module at the top stands for what it imports.
        waiting, seen = [package], set()
        while waiting:
            for name in arrows[waiting.pop()] - seen:
                seen.add(name)
                waiting += [] if name in packages else [name]
        needed[package] = seen & set(packages) - {package}
    assert "data" in needed["classifiers"]  # through task.py
    order = list(TopologicalSorter(needed).static_order())  # raises CycleError, naming them
    assert order.index("config") < order.index("prototypes") < order.index("maps")
