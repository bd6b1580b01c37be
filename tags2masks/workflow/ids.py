"""Names of artifacts, from what they are made of."""

import hashlib
import json

from tags2masks.given import open_given


def canonical(recipe: dict) -> str:
    """The recipe as one line of JSON that is the same for equal recipes."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def as_param(value: dict) -> str:
    """The same as a param of a rule: what HTML takes for a tag is escaped, as JSON can.

    Snakemake's report (`--report`) writes params into a script of its page as they are.
    """
    escapes = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}
    return canonical(value).translate(escapes)


def digest(content: str | bytes) -> str:
    """8 hex digits that tell contents apart."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:8]


def file_digest(path: str) -> str:
    """`digest` of a file's bytes, which may be many."""
    with open_given(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]


def artifact_id(recipe: dict) -> str:
    """`<method>-<8 hex>`, the digits from everything that decides what comes out."""
    return f"{recipe['method']}-{digest(canonical(recipe))}"
