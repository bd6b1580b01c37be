"""The report in a real browser: it needs nothing but itself, fits a phone, and sorts."""

import base64
from functools import cache
from pathlib import Path

import matplotlib
import pytest

from tags2masks.report.page import write_page
from tests.unit.fabricated_report import COUNT, fabricate, settings

pytestmark = pytest.mark.browser

# Fonts that matplotlib brings, so that no test depends on those of the machine: regular, bold, the
# space between letters. The last is wider than any that people read.
FONTS = {
    "narrow": ("STIXGeneral", "STIXGeneralBol", "0"),
    "wide": ("DejaVuSans", "DejaVuSans-Bold", "0"),
    "too wide": ("DejaVuSans", "DejaVuSans-Bold", "0.75em"),
}


@cache
def styled(name: str) -> str:
    """CSS that sets a page in one of FONTS."""
    *files, spacing = FONTS[name]
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    faces = []
    for file, weights in zip(files, ("1 599", "600 999"), strict=True):
        data = base64.b64encode((folder / f"{file}.ttf").read_bytes()).decode()
        source = f"font-weight: {weights}; src: url(data:font/ttf;base64,{data});"
        faces.append(f"@font-face {{ font-family: given; {source} }}")
    rule = f"* {{ font-family: given !important; letter-spacing: {spacing} !important; }}"
    return "\n".join([*faces, rule])


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of fabricated results, as a file."""
    folder = tmp_path_factory.mktemp("report")
    outline, roots = fabricate(folder)
    path = folder / "results" / "report.html"
    text = write_page(outline, roots, folder / "results", COUNT, settings())
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(params=[(1280, "light"), (375, "light"), (375, "dark")], ids=str)
def page(request, browser, report):
    """The report opened offline; fails at the end if it asked for anything or complained."""
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True
    )
    opened = context.new_page()
    requests, complaints = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(report.as_uri())
    yield opened
    context.close()
    assert complaints == []
    assert requests[0] == report.as_uri()
    assert all(url.startswith("data:") for url in requests[1:])


def test_sections_are_there_and_pictures_load(page):
    for name in ("summary", "leaderboard", "d0", "d1", "supervision", "artifacts"):
        assert page.locator(f"#{name}").is_visible()
        assert page.locator(f"#{name} h2").is_visible()
    assert page.locator(".chart svg").count() == 11
    widths = page.evaluate("Array.from(document.images, image => image.naturalWidth)")
    # 64 pixels or a thumbnail's 156 to 240: the placeholder of a shared picture has one.
    assert len(widths) > 40 and min(widths) == 64
    shown = page.locator(".gallery[open] img").first
    assert shown.bounding_box()["width"] > 64
    assert shown.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"


# The words of the leaderboard as they are drawn: text, number of pieces, whether within their cell.
WORDS = """
[...document.querySelectorAll(".board :is(th, td)")].flatMap(cell => {
  const box = cell.getBoundingClientRect(), words = [];
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (text.parentElement.closest(".hidden")) continue;
    for (const word of text.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const drawn = [...range.getClientRects()];
      const inside = drawn.every(one => one.left >= box.left && one.right <= box.right);
      words.push([word[0], drawn.length, inside]);
    }
  }
  return words;
})
"""


@pytest.mark.parametrize("font", FONTS)
def test_nothing_is_wider_than_the_window(page, font):
    for details in page.locator("details").all():
        details.evaluate("details => details.open = true")
    page.add_style_tag(content=styled(font))
    page.evaluate("document.fonts.ready.then(() => undefined)")
    assert page.evaluate("[...document.fonts].map(font => font.status)") == ["loaded"] * 2
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.body.scrollWidth") == width
    # Wide tables scroll in their own boxes.
    board = page.locator("#leaderboard .scroll")
    wider = board.evaluate("box => box.scrollWidth > box.clientWidth")
    assert wider == (width == 375)
    words = page.evaluate(WORDS)
    assert len(words) > 60
    assert [word for word, _, inside in words if not inside] == []
    broken = [word for word, pieces, _ in words if pieces > 1]
    assert bool(broken) == (font == "too wide")


def test_the_experiments_stay_when_the_leaderboard_scrolls(page):
    board = page.locator("#leaderboard .scroll")
    names, last = board.locator("tbody th"), board.locator("tbody tr td:last-child")
    before = names.first.bounding_box()
    scrolled = board.evaluate("box => (box.scrollLeft = box.scrollWidth, box.scrollLeft)")
    assert (scrolled > 0) == (page.viewport_size["width"] == 375)
    assert names.first.bounding_box() == before
    # The last figures are beside the names, not under them.
    box, edge = last.first.bounding_box(), board.bounding_box()
    assert before["x"] + before["width"] <= box["x"]
    assert box["x"] + box["width"] <= edge["x"] + edge["width"]


def test_charts_can_be_read(page):
    sizes = page.evaluate(
        "Array.from(document.querySelectorAll('.chart svg text'),"
        " text => text.getBoundingClientRect().height)"
    )
    assert len(sizes) > 50 and min(sizes) >= 9
    # Text takes the page's ink in either scheme, and lines the scheme's colours.
    ink = page.evaluate("getComputedStyle(document.body).color")
    text = page.locator(".chart svg text").first
    assert text.evaluate("text => getComputedStyle(text).fill") == ink
    strokes = page.evaluate(
        "Array.from(document.querySelectorAll('.chart svg path'),"
        " path => getComputedStyle(path).stroke)"
    )
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert ("rgb(108, 178, 238)" if dark else "rgb(31, 111, 178)") in strokes


def test_a_header_sorts(page):
    header = page.locator("#leaderboard th", has_text="Seed IoU").first
    board = page.locator("#leaderboard tbody tr")

    def column(number):
        return [row.locator("th, td").nth(number).inner_text().split()[0] for row in board.all()]

    before = column(0)
    assert column(3) == ["45.1", "45.1", "46.9", "–"]
    header.locator("button").click()
    assert column(3) == ["46.9", "45.1", "45.1", "–"]  # figures start with the highest
    assert header.get_attribute("aria-sort") == "descending"
    header.locator("button").press("Enter")
    assert column(3) == ["45.1", "45.1", "46.9", "–"]  # nothing stays last
    assert header.get_attribute("aria-sort") == "ascending"
    name = page.locator("#leaderboard th", has_text="Experiment")
    name.locator("button").click()
    assert column(0) == sorted(before)
    assert header.get_attribute("aria-sort") is None
