"""The page docs/architecture.md, made from the imports and the table of stages.

`python -m tags2masks.workflow.architecture` writes it; with `--check` it only checks it. Both fail
if imports are circular, or if the library imports a program.
"""

import ast
import re
import sys
from collections import defaultdict, deque
from collections.abc import Iterable
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import NamedTuple

from tags2masks.config.datasets import KINDS
from tags2masks.config.project import parse_config
from tags2masks.config.reference import DOCS, write_or_check
from tags2masks.methods import methods_of, part_blocks, rule_of
from tags2masks.stages import SECTIONS, STAGES, Stage
from tags2masks.workflow import sources
from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.building import build_experiments

PAGE = DOCS / "architecture.md"
PROGRAMS = "workflow_scripts"

INTRODUCTION = """# Architecture

Generated from the imports and from the table of stages by `make docs`; a test fails when it is out
of date.

`Snakefile` and `rules/` define dependencies. A rule runs a program of `workflow_scripts/` with
arguments, and the program calls the library, `tags2masks/`, which does not depend on Snakemake.
Imports go one way, down the first table. A test fails for circular imports, and names the modules
and lines.
"""

LAYERS = """## The layers

A room is a package of the library (`data/`) or a module beside the packages (`store`). It imports
only rooms of lower layers, also inside functions. Methods and readers are imported by name when a
recipe asks for them; such imports are not listed here. Only `config/` knows which methods exist.
"""

STAGES_TEXT = """## The stages

From `tags2masks/stages.py`. Rules, folders, the order of a chain and the report's contents are
derived from this table. A method is a config block, in `METHODS` of
`tags2masks/config/<package>.py`, and a module of the same name in the package, the stage's folder
of the library.
"""

ENTRIES = {"classifiers": "vanilla", "maps": "cam", "masks": "irn", "segmenters": "deeplabv3plus"}
DATASET = "photos"
CHAIN = " / ".join([DATASET, *ENTRIES.values()])

CHAIN_TEXT = f"""## How a chain runs

An experiment is a path of config entries through the stages. For example
`{CHAIN}` makes these artifacts, in this order:
"""

STEPS = """
1. Snakemake reads the `Snakefile`, which makes a `Plan` of the config (`workflow/plan.py`). The
   config blocks validate every value, and each artifact gets an id: its method, and a digest of its
   recipe (parameters, seed, data set, upstream ids). See [paths.md](paths.md).
2. `rules/data.smk` lists the images of each split (`train.csv`, `val.csv`, `ood.csv`) with the
   reader of the data set's kind. The user's masks are checked there too, so that an invalid mask
   stops the run before any training; their content is not written. Problems of the images that do
   not stop a run are in `train-warnings.csv` and similar tables.
3. `rules/methods.smk` has a rule for every method of every stage, generated from the table above.
   Its params hold the recipe and a digest of the code that the program and the method's module
   import. So a changed parameter gives another artifact, an edited method runs again, and nothing
   else does.
4. The program gets the recipe as JSON, finds block and module by the method's name
   (`tags2masks/methods.py`), writes its output under a temporary name and renames it.
5. `rules/measuring.smk` measures artifacts against `truth.csv`, which no other rule may read;
   `rules/plausibility.smk` looks at masks without it and draws contact sheets;
   `rules/summary.smk` and `rules/report.smk` make tables and the page from the figures.

[Add a method](add-a-method.md) describes what a new method needs.
"""


class Import(NamedTuple):
    """A module of this project that imports another one; the file is relative to the project."""

    file: str
    line: int
    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.importer} imports {self.imported}"


class ImportsRunUp(Exception):
    """Imports against the order of layers; the message names modules and lines."""


def room_of(module: str) -> str:
    """The room of a module: the package or module of the library, or `workflow_scripts`."""
    package, *inner = module.split(".")
    return inner[0] if inner and package != PROGRAMS else package


def all_imports() -> list[Import]:
    """Every import between two rooms of the project, in the order of files and lines."""
    imports = []
    for package in sources.PACKAGES:
        for path in sorted((sources.ROOT / package).rglob("*.py")):
            inner = path.relative_to(sources.ROOT)
            importer = ".".join(inner.with_suffix("").parts).removesuffix(".__init__")
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            for name, line in sources.imports_in(tree):
                if sources.module_path(name) is None or name in sources.PACKAGES:
                    continue
                if room_of(name) != room_of(importer):
                    imports.append(Import(inner.as_posix(), line, importer, name))
    return imports


def arrows_of(imports: Iterable[Import]) -> dict[str, set[str]]:
    """Room -> the rooms that it imports."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for arrow in imports:
        arrows[room_of(arrow.importer)].add(room_of(arrow.imported))
        arrows[room_of(arrow.imported)]  # adds rooms that import nothing
    return dict(arrows)


def check_imports(imports: list[Import]) -> None:
    """Raise ImportsRunUp if the library imports a program, or if rooms import each other."""
    programs = [i for i in imports if i.imported.startswith(PROGRAMS)]
    if programs:
        lines = "\n".join(map(str, programs))
        raise ImportsRunUp(f"the library imports a program; move what it needs down:\n{lines}")
    arrows = arrows_of(imports)
    circles = [way for room in arrows if (way := _way_back(arrows, room))]
    if not circles:
        return
    circle = min(circles, key=len)
    steps = [
        [i for i in imports if (room_of(i.importer), room_of(i.imported)) == pair]
        for pair in pairwise(circle)
    ]
    # The arrow with the fewest imports is most likely the wrong one.
    lines = "\n".join(str(i) for step in sorted(steps, key=len) for i in step[:3])
    raise ImportsRunUp(
        f"imports run in a circle, {' -> '.join(circle)}; move what both need to a lower room:\n"
        f"{lines}"
    )


def _way_back(arrows: dict[str, set[str]], start: str) -> list[str] | None:
    """The shortest way along the arrows from a room to itself, if there is one."""
    ways, seen = deque([[start]]), set()
    while ways:
        way = ways.popleft()
        for room in sorted(arrows[way[-1]]):
            if room == start:
                return [*way, room]
            if room not in seen:
                seen.add(room)
                ways.append([*way, room])
    return None


def layers_of(arrows: dict[str, set[str]]) -> dict[str, int]:
    """The layer of each room: 0 without imports, else one above the highest imported layer."""
    layers: dict[str, int] = {}
    for room in TopologicalSorter(arrows).static_order():
        layers[room] = 1 + max((layers[below] for below in arrows[room]), default=-1)
    return layers


def page() -> str:
    """The page in Markdown; raises ImportsRunUp."""
    imports = all_imports()
    check_imports(imports)
    parts = [INTRODUCTION, LAYERS, *_layer_rows(arrows_of(imports)), ""]
    parts += [STAGES_TEXT, *_stage_rows(), "", CHAIN_TEXT, *_chain_rows(), STEPS.rstrip()]
    return "\n".join(parts) + "\n"


# -- the tables ----------------------------------------------------------------------------------


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _layer_rows(arrows: dict[str, set[str]]) -> list[str]:
    layers = layers_of(arrows)
    programs = arrows[PROGRAMS]
    rows = [
        _row("layer", "room", "what it is", "imports"),
        "|---|---|---|---|",
        _row(
            "",
            "`Snakefile`, `rules/`",
            "What depends on what: data, methods, measuring, summary, report, export.",
            f"{_rooms(_rooms_of_rules())}; runs `{PROGRAMS}/`",
        ),
        _row("", f"`{PROGRAMS}/`", _summary(PROGRAMS), _rooms(programs)),
    ]
    inner = [room for room in arrows if room != PROGRAMS]
    for room in sorted(inner, key=lambda room: (-layers[room], room)):
        rows.append(
            _row(
                str(layers[room]),
                _rooms([room]),
                _summary(f"tags2masks.{room}"),
                _rooms(arrows[room]) or "–",
            )
        )
    return rows


def _rooms_of_rules() -> set[str]:
    """The rooms that the Snakefile and the rules import, found by text: `ast` cannot parse them."""
    files = [sources.ROOT / "Snakefile", *sorted((sources.ROOT / "rules").glob("*.smk"))]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return {room_of(name) for name in re.findall(r"^from (tags2masks\.[\w.]+)", text, re.MULTILINE)}


def _rooms(rooms: Iterable[str]) -> str:
    """Rooms as the page names them, packages with a slash."""
    packages = {path.parent.name for path in (sources.ROOT / "tags2masks").glob("*/__init__.py")}
    return ", ".join(f"`{room}{'/' * (room in packages)}`" for room in sorted(rooms))


def _summary(module: str) -> str:
    """The first sentence of a module's docstring; empty without one."""
    tree = ast.parse(sources.module_path(module).read_text(encoding="utf-8"))
    first = (ast.get_docstring(tree) or "").partition("\n")[0]
    return re.split(r"(?<=\.)\s", first)[0]


def _stage_rows() -> list[str]:
    rows = [
        _row("stage", "entries", "takes", "gives", "program", "measured", "methods"),
        "|---|---|---|---|---|---|---|",
    ]
    gives = {
        "network": "a network: `model.safetensors`",
        "shards": "`<shard>.zarr.zip` of every image",
        "table": "a table: `{file}`",
    }
    measured = {
        "tags": "average precision",
        "boxes": "average precision of boxes",
        "maps": "IoU at every background score",
        "objects": "IoU of objects at every score",
        "instances": "average precision and best overlap",
        "labels": "IoU",
        None: "–",
    }
    for stage in STAGES.values():
        blocks = methods_of(stage)
        own = {n: b.takes for n, b in blocks.items() if b.takes and b.takes != stage.takes}
        takes = [_names(stage.takes), *(f"`{n}`: {_names(taken)}" for n, taken in own.items())]
        programs = dict.fromkeys(
            [stage.program, *(b.program for b in blocks.values() if b.program)]
        )
        rows.append(
            _row(
                f"`{stage.name}`",
                _entries(stage),
                "; ".join(takes),
                gives[stage.gives].format(file=stage.file),
                _names(programs),
                measured[stage.measured],
                _names(blocks) if "{method}" in stage.rule else f"those of `{stage.takes[0]}`",
            )
        )
    return rows


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "–"


def _entries(stage: Stage) -> str:
    """Where the config describes a stage's artifacts: a section, or a field of other entries."""
    if stage.section:
        return f"section `{stage.section}`"
    fields = []
    for section, other in SECTIONS.items():
        blocks = methods_of(other)
        having = [name for name, block in blocks.items() if part_blocks(block, stage.part)]
        if having:
            which = "each" if len(having) == len(blocks) else _names(having)
            fields.append(f"field `{stage.part}` of {which} in `{section}`")
    return "; ".join(fields)


def _chain_rows() -> list[str]:
    """The rows of the example's artifacts."""
    kind = next(
        name for name, block in KINDS.items() if not block.model_json_schema().get("required")
    )
    config = {section: {name: {"method": name}} for section, name in ENTRIES.items()}
    config |= {"datasets": {DATASET: {"kind": kind}}, "experiments": [CHAIN]}
    (experiment,) = build_experiments(parse_config(config))
    rows = [_row("artifact", "rule", "program", "made from"), "|---|---|---|---|"]
    return rows + [_artifact_row(artifact) for _, artifact in experiment.products]


def _artifact_row(artifact: Artifact) -> str:
    stage = STAGES[artifact.stage]
    above = [*(f"`{role}`" for role in artifact.upstream), f"images of `{stage.split}`"]
    return _row(
        f"`{stage.name}`",
        f"`{rule_of(stage, artifact.method)}`",
        f"`{artifact.block.program or stage.program}`",
        ", ".join(above).replace("`evaluated`", "the evaluation split"),
    )


def main(check: bool) -> int:
    """Write or check the page; return the exit status."""
    try:
        return write_or_check({PAGE: page()}, check)
    except ImportsRunUp as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
