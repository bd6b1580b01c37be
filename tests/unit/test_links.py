"""Links of the documentation lead to files that are there, and to their headings."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page for folder in ("", "docs", "papers/published") for page in (ROOT / folder).glob("*.md")
)


def anchors(page: Path) -> set[str]:
    """Those that GitHub gives to the headings: letters, decimal digits, _ and - of each."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    kept = (
        [sign for sign in title.lower() if sign in " -_" or sign.isalpha() or sign.isdecimal()]
        for title in titles
    )
    return {"".join(signs).replace(" ", "-") for signs in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target
