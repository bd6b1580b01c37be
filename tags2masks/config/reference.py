"""The JSON schema and the reference page of the config, generated from its models.

`python -m tags2masks.config.reference` writes both; with `--check` it only checks them.
"""

import inspect
import json
import sys
import typing
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union

from pydantic.fields import FieldInfo

from tags2masks.config.against import Against
from tags2masks.config.base import Block
from tags2masks.config.datasets import KINDS
from tags2masks.config.methods import METHODS
from tags2masks.config.project import Config, Sweep
from tags2masks.stages import SECTIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"

INTRODUCTION = """# Config reference

Generated from the models in `tags2masks/config/` by `make docs`; a test fails when it is out of
date. Unknown keys are refused. A block given in part keeps the other defaults of its method:
`optimizer: {lr: 0.1}` changes only the rate. Fields marked *free* are not part of an artifact's id:
changing one makes no new artifact. (Another number of `shards` distributes the images again, and
later stages run again.) Paths are relative to the directory that Snakemake runs in.
"""


def schema() -> str:
    """The JSON schema of the config file, for editors."""
    return json.dumps(Config.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """The reference page, in Markdown."""
    parts = [INTRODUCTION, _section("The file", Config)]
    parts += [
        "## `datasets`\n",
        *(_section(f"kind: {name}", block, 3) for name, block in KINDS.items()),
    ]
    for section, stage in SECTIONS.items():
        parts.append(f"## `{section}`\n")
        methods = METHODS[stage.package].items()
        parts += [_section(f"method: {name}", block, 3) for name, block in methods]
    parts += [_section("`sweep`", Sweep), _section("`report.against`", Against)]
    return "\n".join(parts)


def _section(title: str, block: type[Block], level: int = 2) -> str:
    lines = [f"{'#' * level} {title}\n", f"{inspect.cleandoc(block.__doc__ or '')}\n"]
    lines += ["| key | type | default | what |", "|---|---|---|---|"]
    lines += _rows(block, "")
    return "\n".join(lines) + "\n"


def _rows(block: type[Block], prefix: str, default: Block | None = None, of: str = "") -> list[str]:
    """A row for each field; of: the method whose block it is, where a field has one of several."""
    rows = []
    for name, info in block.model_fields.items():
        if name in ("method", "kind"):
            continue
        value = getattr(default, name) if default is not None else info.default
        if isinstance(value, Block) and isinstance(info.default, str):
            value = value.model_dump(exclude_defaults=True) or info.default  # as it is written
        choices = _optional_blocks(info.annotation)
        if isinstance(info.default, Block) and len(choices) < 2:
            rows += _rows(type(info.default), f"{prefix}{name}.", value, of)
            continue
        what = [of, info.description or "", "*free*" if _is_free(info) else ""]
        shown = "required" if info.is_required() and default is None else f"`{_plain(value)}`"
        cells = [f"`{prefix}{name}`", _type(info), shown, " ".join(filter(None, what))]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        for block in choices:
            own = value if isinstance(value, block) else None
            several = isinstance(info.default, Block)  # a number or null has one block beside it
            method = f"`{block.model_fields['method'].default}`:" if several else ""
            rows += _rows(block, f"{prefix}{name}.", own, method or of)
    return rows


def _optional_blocks(annotation: Any) -> list[type[Block]]:
    """The blocks of a field that may also be null, or a number."""
    if typing.get_origin(annotation) not in (Union, UnionType):
        return []
    options = typing.get_args(annotation)
    return [o for o in options if isinstance(o, type) and issubclass(o, Block)]


def _is_free(info: FieldInfo) -> bool:
    return (info.json_schema_extra or {}).get("in_key") is False


def _plain(value: Any) -> str:
    return json.dumps(
        value, ensure_ascii=False, default=lambda block: block.model_dump(exclude_defaults=True)
    )


def _type(info: FieldInfo) -> str:
    limits = [
        f"{sign} {getattr(m, attribute)}"
        for m in info.metadata
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if hasattr(m, attribute)
    ]
    return " ".join([_type_name(info.annotation), ", ".join(limits)]).strip()


def _type_name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{_plain(a)}`" for a in arguments)
    if origin in (Union, UnionType):
        names = [_type_name(a) for a in arguments]
        return " or ".join(dict.fromkeys(names))
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"list of {_type_name(arguments[0])}"
        return f"[{', '.join(_type_name(a) for a in arguments)}]"
    if origin is dict:
        return f"name: {_type_name(arguments[1])}"
    if annotation is type(None):
        return "null"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names.get(annotation, "block")


def write_or_check(pages: dict[Path, str], check: bool) -> int:
    """Write generated pages, or only print which are out of date; return the exit status."""
    stale = []
    for path, text in pages.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"docs/{', docs/'.join(stale)}: out of date; run `make docs`", file=sys.stderr)
        return 1
    return 0


def main(check: bool) -> int:
    """Write schema and page, or print which are out of date; return the exit status."""
    return write_or_check(
        {DOCS / "config.schema.json": schema(), DOCS / "config.md": page()}, check
    )


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
