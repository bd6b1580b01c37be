"""References of papers, networks and data sets: BibTeX entries by their keys."""

import re
from collections.abc import Iterable
from pathlib import Path


def references() -> dict[str, str]:
    """The entries of references.bib by their keys."""
    text = Path(__file__).with_name("references.bib").read_text(encoding="utf-8")
    entries = [f"@{entry.strip()}" for entry in text.removeprefix("@").split("\n@")]
    return {re.search(r"\{(\w+),", entry)[1]: entry for entry in entries}


def bibtex(keys: Iterable[str]) -> str:
    """The entries of these keys, as the text of a .bib file."""
    known = references()
    return "\n\n".join(known[key] for key in keys)
