"""Links of the documentation lead to files that are there, and to their headings."""

import re
from pathlib import Path

import pytest

from tags2masks.config.papers import anchor

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page for folder in ("", "docs", "papers/published") for page in (ROOT / folder).glob("*.md")
)


def anchors(page: Path) -> set[str]:
    """Those of the headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return set(map(anchor, re.findall(r"^#+ (.+)$", text, re.MULTILINE)))


def test_anchors_are_letters_digits_and_hyphens_of_a_heading():
    assert anchor("Objects of any class: C²AM, hints") == "objects-of-any-class-cam-hints"
    assert anchor("LPCAM's hosts, 2 of `cam_f`") == "lpcams-hosts-2-of-cam_f"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, mark = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not mark or mark in anchors(file), target
