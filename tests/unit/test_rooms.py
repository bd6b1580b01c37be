"""The rooms of the library, its packages and modules at the top, import one way."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "tags2masks"


def imports_of(path):
    """The modules that a file imports from this project, as tuples of names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (tuple(name.split(".")) for name in names)


def test_no_import_arrow_runs_back():
    rooms = defaultdict(set)
    for path in LIBRARY.rglob("*.py"):
        room = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
        for package, *inner in imports_of(path):
            assert package != "workflow_scripts", f"{path} imports a program"
            if package == "tags2masks" and inner[0] != room:
                rooms[room].add(inner[0])
    assert "store" in rooms["prototypes"]
    order = list(TopologicalSorter(rooms).static_order())  # raises CycleError, naming the rooms
    assert order.index("prototypes") < order.index("maps")
