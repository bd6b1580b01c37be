"""The report in a real browser: it needs nothing but itself, fits a phone, and sorts."""

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tags2masks.report.page import write_page
from tests.unit.fabricated_report import COUNT, fabricate

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


@pytest.fixture(scope="module")
def browser():
    """A running Chromium; skips where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM} (Debian's package chromium)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of fabricated results, as a file."""
    folder = tmp_path_factory.mktemp("report")
    outline, roots = fabricate(folder)
    path = folder / "results" / "report.html"
    text = write_page(outline, roots, folder / "results", COUNT)
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
    assert page.locator(".chart svg").count() == 8
    widths = page.evaluate("Array.from(document.images, image => image.naturalWidth)")
    # 64 pixels or a thumbnail's 156 to 240: the placeholder of a shared picture has one.
    assert len(widths) > 40 and min(widths) == 64
    shown = page.locator(".gallery[open] img").first
    assert shown.bounding_box()["width"] > 64
    assert shown.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"


def test_nothing_is_wider_than_the_window(page):
    for details in page.locator("details").all():
        details.evaluate("details => details.open = true")
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.body.scrollWidth") == width
    # Wide tables scroll in their own boxes.
    board = page.locator("#leaderboard .scroll")
    wider = board.evaluate("box => box.scrollWidth > box.clientWidth")
    assert wider == (width == 375)


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
