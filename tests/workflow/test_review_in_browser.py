"""The page on which a person prunes candidates, in a real browser."""

import csv

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.data.index import build_index
from tags2masks.report.review import write_review

pytestmark = pytest.mark.browser

CLASSES = ["cat", "a<b> & c"]
# Image and class in the order of ranking. One has a comma and a quote in its name.
RANKED = [("e", 0), ('d, "x"', 1), ("c", 0), ("b", 0), ("a", 1)]
NAMES = [image for image, _ in RANKED]


@pytest.fixture(scope="module")
def review(tmp_path_factory):
    """The page of five candidates, as a file."""
    folder = tmp_path_factory.mktemp("review")
    rng = np.random.default_rng(0)
    for image in NAMES:
        pixels = rng.integers(256, size=(40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{image}.png")
    listing = pd.DataFrame(
        [(image, f"{image}.png", "ood", ()) for image in sorted(NAMES)],
        columns=["image", "path", "split", "tags"],
    )
    index = build_index(listing, folder, [], 1, 1)
    ranked = pd.DataFrame(
        [
            (image, CLASSES[number], 0.9 - place / 10)
            for place, (image, number) in enumerate(RANKED)
        ],
        columns=["image", "class", "score"],
    )
    path = folder / "review.html"
    text = write_review("ranked-12345678", ranked, index, folder, CLASSES, 32)
    assert text == write_review("ranked-12345678", ranked, index, folder, CLASSES, 32)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def context(browser):
    """A browser's window, offline."""
    opened = browser.new_context(offline=True, viewport={"width": 1000, "height": 800})
    yield opened
    opened.close()


@pytest.fixture
def page(context, review):
    """The page, opened; fails at the end if it asked for anything or complained."""
    opened, requests, complaints = context.new_page(), [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(review.as_uri())
    yield opened
    assert complaints == []
    assert all(url.startswith(("data:", "blob:", review.as_uri())) for url in requests)


def shown(page):
    """The candidate on the page; None if there is none."""
    return page.inner_text("#name") if page.locator("#candidate").is_visible() else None


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def count(page):
    return page.inner_text("#count")


def saved(page, folder):
    """The rows of the table that the page saves."""
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "keep.csv"
    download.value.save_as(folder / "keep.csv")
    with (folder / "keep.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["image", "class", "score", "keep"]
    return rows


def load(page, folder, text):
    (folder / "loaded.csv").write_text(text, encoding="utf-8")
    page.set_input_files("#load", folder / "loaded.csv")


def reload(page, answered):
    """Load the page anew, until it tells so many answers.

    Chromium may hand what a page wrote a moment before to the next one late: on a busy machine one
    of about forty pages loaded at once did not see it, and the one after it did.
    """
    for _ in range(20):
        page.reload()
        if count(page) == answered:
            return
        page.wait_for_timeout(100)
    assert count(page) == answered


def test_candidates_are_answered_by_keys(page, tmp_path):
    assert "cat, a<b> & c" in page.inner_text("h1")
    assert page.evaluate("document.getElementById('picture').naturalWidth") == 32
    assert shown(page) == "e" and count(page) == "0 of 5 answered"
    assert page.inner_text("#taken") == "1 of 5 · taken for cat, 0.90"
    press(page, "ArrowRight", "ArrowLeft")
    assert shown(page) == "c" and count(page) == "2 of 5 answered"
    press(page, "ArrowDown")  # skipped: it waits
    assert shown(page) == "b"
    press(page, "ArrowRight", "ArrowRight")
    assert shown(page) == "c" and count(page) == "4 of 5 answered"
    assert [row[3] for row in saved(page, tmp_path)] == ["yes", "no", "", "yes", "yes"]
    assert page.inner_text("#said") == "Saved; 1 of 5 still without an answer."
    press(page, "ArrowLeft")
    assert shown(page) is None and page.locator("#empty").is_visible()
    assert page.locator("#yes").is_disabled() and page.locator("#no").is_disabled()
    rows = saved(page, tmp_path)
    assert rows[1] == ['d, "x"', "a<b> & c", "0.800000", "no"]
    assert [row[0] for row in rows] == NAMES
    assert page.inner_text("#said") == "Saved; every candidate is answered."


def test_candidates_are_answered_by_mouse_and_taken_back(page, tmp_path):
    assert page.locator("#undo").is_disabled()
    page.click("#yes")
    page.click("#no")
    assert shown(page) == "c"
    page.click("#undo")
    assert shown(page) == 'd, "x"' and count(page) == "1 of 5 answered"
    press(page, "u")
    assert shown(page) == "e" and count(page) == "0 of 5 answered"
    press(page, "ArrowLeft", "ArrowLeft", "Control+z")
    assert count(page) == "1 of 5 answered"
    page.click("#skip")
    assert shown(page) == "c"
    page.click("#before")
    page.click("#before")
    # One that is answered shows its answer, and can be given another.
    assert shown(page) == "e" and page.get_attribute("#no", "aria-pressed") == "true"
    press(page, "ArrowRight")
    assert [row[3] for row in saved(page, tmp_path)] == ["yes", "", "", "", ""]


def test_a_class_alone(page):
    page.select_option("#class", "1")
    assert shown(page) == 'd, "x"'
    assert count(page) == "0 of 2 answered (of all classes 0 of 5)"
    press(page, "ArrowLeft", "ArrowRight")  # the list has no focus: keys answer
    assert shown(page) is None and count(page) == "2 of 2 answered (of all classes 2 of 5)"
    page.select_option("#which", "all")
    assert shown(page) == 'd, "x"' and page.get_attribute("#no", "aria-pressed") == "true"
    page.select_option("#class", "0")
    press(page, "ArrowRight")
    assert shown(page) == "c"
    page.select_option("#which", "waiting")
    page.select_option("#class", "")
    assert shown(page) == "c" and count(page) == "3 of 5 answered"


def test_answers_survive_a_reload_and_another_browser(page, context, browser, review, tmp_path):
    press(page, "ArrowRight", "ArrowLeft")
    reload(page, "2 of 5 answered")
    assert shown(page) == "c"
    saved(page, tmp_path)
    other = browser.new_context(offline=True)
    fresh = other.new_page()
    fresh.goto(review.as_uri())
    assert count(fresh) == "0 of 5 answered"
    fresh.set_input_files("#load", tmp_path / "keep.csv")
    fresh.wait_for_function("document.getElementById('said').textContent.startsWith('Answers')")
    assert shown(fresh) == "c" and count(fresh) == "2 of 5 answered"
    assert fresh.inner_text("#said") == "Answers loaded: 2."
    other.close()


def test_a_loaded_table_keeps_its_rows_on_other_images(page, tmp_path):
    press(page, "ArrowRight")
    table = 'image,keep\r\nb.png,no\r\n"z, ""q""",yes\r\ne,\r\n'
    load(page, tmp_path, table)
    page.wait_for_function("document.getElementById('said').textContent.startsWith('Answers')")
    assert page.inner_text("#said") == (
        "Answers loaded: 1. Rows on other images, saved again as they are: 1."
    )
    reload(page, "2 of 5 answered")
    rows = saved(page, tmp_path)
    assert [row[3] for row in rows[:5]] == ["yes", "", "", "no", ""]
    assert rows[5:] == [['z, "q"', "", "", "yes"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "image,score\na,1\n",
            "No table of answers: its first line names no column image or keep.",
        ),
        ("", "No table of answers: its first line names no column image or keep."),
        ("image,keep\na,yes\nb,maybe\n", "Line 3: keep is “maybe”, not yes, no or blank."),
        ("image,keep\na,yes,no\n", "Line 2: 3 cells, but 2 columns."),
    ],
)
def test_what_is_no_table_of_answers_changes_nothing(page, tmp_path, text, said):
    load(page, tmp_path, text)
    page.wait_for_function("document.getElementById('said').textContent !== ''")
    assert page.inner_text("#said") == said
    assert count(page) == "0 of 5 answered" and shown(page) == "e"


def test_it_fits_a_phone(page):
    page.set_viewport_size({"width": 375, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    for name in ("#picture", "#yes", "#no", "#save"):
        assert page.locator(name).is_visible()


@pytest.mark.parametrize("size", [(1000, 800), (500, 700), (1600, 500)], ids=str)
def test_the_whole_image_is_seen(page, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    image, frame = (page.locator(name).bounding_box() for name in ("#picture", "#frame"))
    assert image["height"] <= frame["height"] and image["width"] <= frame["width"]
    assert image["y"] >= frame["y"] and image["height"] > 50
    fit = "getComputedStyle(document.querySelector('#picture')).objectFit"
    assert page.evaluate(fit) == "contain"
