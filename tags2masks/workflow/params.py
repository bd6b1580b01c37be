"""Parameters of rules that no config decides: digests of code, options of programs, resources."""

import hashlib
import shlex
from collections.abc import Callable

from tags2masks.config.base import Block
from tags2masks.workflow.sources import ROOT, source_digest
from tags2masks.workflow.started import kept


def source(script: str, *modules: str) -> Callable:
    """Param function: digest of a program and of the methods and readers it loads by name."""
    roots = (f"workflow_scripts.{script}", *(f"tags2masks.{module}" for module in modules))
    code = f"the code of {' and '.join(roots)}"
    return lambda wildcards: kept(code, source_digest(*roots), code)


def text_digest(file: str) -> Callable:
    """Param function: a digest of a file of the project that is no Python, such as a template."""
    digest = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()[:12]
    return lambda wildcards: kept(file, digest, file)


def options(files: dict[str, str | list[str]]) -> str:
    """Options of a program for files by their names, safe for the shell; empty lists left out."""
    parts = []
    for name, paths in files.items():
        paths = [paths] if isinstance(paths, str) else list(paths)
        parts += [f"--{name}", *map(shlex.quote, paths)] if paths else []
    return " ".join(parts)


def free_fields(block: Block) -> dict:
    """The block's own fields that are in no recipe."""
    return {
        name: getattr(block, name)
        for name, info in type(block).model_fields.items()
        if (info.json_schema_extra or {}).get("in_key") is False
    }


def scaled(amount: int) -> Callable:
    """Resource function: the amount times the attempt, so that a job killed for it gets more."""
    return lambda wildcards, attempt: amount * attempt
