"""Ids of artifacts, digests of recipes."""

import hashlib
import json

from tags2masks.given import open_given


def canonical(recipe: dict) -> str:
    """The recipe as one line of JSON that is the same for equal recipes."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def as_param(value: dict) -> str:
    """`canonical` for a param of a rule, with <, > and & escaped in JSON.

    Snakemake's report (`--report`) writes params unescaped into a script of its page.
    """
    escapes = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}
    return canonical(value).translate(escapes)


def digest(content: str | bytes) -> str:
    """The first 8 hex digits of sha256."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:8]


def file_digest(path: str) -> str:
    """`digest` of a file's bytes, read in blocks."""
    with open_given(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]


def artifact_id(recipe: dict) -> str:
    """`<method>-<8 hex>`: a digest of the recipe."""
    return f"{recipe['method']}-{digest(canonical(recipe))}"
