"""Parameters of rules that do not come from the config: code digests, options, resources."""

import hashlib
import shlex
from collections.abc import Callable

from tags2masks.config.base import Block
from tags2masks.workflow.sources import ROOT, source_digest
from tags2masks.workflow.started import kept


def source(script: str, *modules: str) -> Callable:
    """Param function: digest of a program and of the modules that it imports by name."""
    roots = (f"workflow_scripts.{script}", *(f"tags2masks.{module}" for module in modules))
    code = f"the code of {' and '.join(roots)}"
    return lambda wildcards: kept(code, source_digest(*roots), code)


def text_digest(file: str) -> Callable:
    """Param function: a digest of a non-Python file of the project, such as a template."""
    digest = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()[:12]
    return lambda wildcards: kept(file, digest, file)


def options(files: dict[str, str | list[str]]) -> str:
    """Command-line options for files by name, quoted for the shell; empty lists are left out."""
    parts = []
    for name, paths in files.items():
        paths = [paths] if isinstance(paths, str) else list(paths)
        parts += [f"--{name}", *map(shlex.quote, paths)] if paths else []
    return " ".join(parts)


def free_fields(block: Block) -> dict:
    """The block's fields that are not in recipes."""
    return {
        name: getattr(block, name)
        for name, info in type(block).model_fields.items()
        if (info.json_schema_extra or {}).get("in_key") is False
    }


def scaled(amount: int) -> Callable:
    """Resource function: the amount times the attempt, so that a retried job gets more."""
    return lambda wildcards, attempt: amount * attempt
