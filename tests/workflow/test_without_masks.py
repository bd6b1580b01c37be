"""A folder of images with tags and no masks, really run: its figures and its contact sheets."""

import copy as copying

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.plausibility import ANY
from tests.workflow.conftest import CONFIG, fresh_project
from tests.workflow.test_supervision import jobs_of

IMAGES = 12
TAGS = ("cat", "dog", "cat;dog", "")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two chains on a dozen photographs in two shards, finished."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "photos").mkdir()
    rng, rows = np.random.default_rng(0), []
    for number in range(IMAGES + 4):
        size = (40, 32) if number % 2 else (32, 48)
        pixels = rng.integers(0, 255, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{number:02}.png")
        split = "train" if number < IMAGES else "val"
        rows.append(f"{number:02}.png,{TAGS[number % len(TAGS)]},{split}")
    (folder / "tags.csv").write_text("\n".join(["image,tags,split", *rows]) + "\n")
    config = copying.deepcopy(CONFIG)
    config["datasets"] = {
        "mine": {"kind": "folder", "images": "photos", "tags": "tags.csv", "shards": 2}
    }
    config["experiments"] = ["mine / vanilla / cam / threshold / net", "mine/vanilla/cam/crf"]
    project = fresh_project(folder, config)
    project.make()
    return project


def test_the_table_has_every_chain(made):
    assert made.would_run() == {}
    table = pd.read_csv(made.folder / "results/plausibility.csv")
    chains = table.groupby(["experiment", "stage"])["class"].apply(list)
    assert chains.index.tolist() == [
        ("mine/vanilla/cam/crf", "masks"),
        ("mine/vanilla/cam/threshold/net", "masks"),
        ("mine/vanilla/cam/threshold/net", "predictions"),
    ]
    assert chains.tolist() == [[ANY, "cat", "dog"]] * 3
    masks = table[table["stage"] == "masks"]
    # Of the dozen, three have each of the four tags. Masks show no class that is not tagged.
    assert masks["images"].tolist() == [9, 6, 6] * 2
    assert (masks["untagged_images"] == 0).all() and masks["share"].between(0, 1).all()
    # The two masks are compared with each other, so both say the same; predictions with nothing.
    first, second = (part["agreement"].tolist() for _, part in masks.groupby("artifact"))
    assert first == second and not np.isnan(first).any()
    assert table.loc[table["stage"] == "predictions", "agreement"].isna().all()
    assert not (made.folder / "results/doubt_correlations.csv").exists()


def test_the_report_links_the_sheets_of_all_masks(made):
    page = (made.folder / "results/report.html").read_text(encoding="utf-8")
    assert "Quality without masks" in page and "Evaluation with masks" not in page
    sheets = sorted((made.folder / "results/mine/sheets").glob("*.html"))
    assert [sheet.name.split("-")[0] for sheet in sheets] == ["crf", "threshold"]
    for sheet in sheets:
        assert f'href="mine/sheets/{sheet.name}"' in page
        folders = [sheet.parent / name for name in ("images", sheet.stem)]
        for folder, suffix in zip(folders, ("jpg", "png"), strict=True):
            names = {path.relative_to(folder).as_posix() for path in folder.rglob(f"*.{suffix}")}
            assert names == {f"{shard}/{n}.{suffix}" for shard in (0, 1) for n in range(6)}


def test_another_size_draws_the_sheets_again_and_nothing_else(made):
    config = copying.deepcopy(made.config)
    changed = config | {"report": {"examples": 1, "sheet_size": 128}}
    made.configure(changed)
    try:
        assert made.would_run() == {
            "thumbnails": 2, "overlays": 4, "contact_sheet": 2, "report_page": 1,
        }  # fmt: skip
        made.configure(config | {"report": {"examples": 1, "sheets": "none"}})
        assert not {"overlays", "contact_sheet"} & made.would_run().keys()
    finally:
        made.configure(config)


def test_no_rule_of_these_is_reached_from_masks(made):
    jobs = jobs_of(made)
    assert {"measure_plausibility", "contact_sheet"} <= set(jobs.rules.values())
    assert not any(rule.endswith("_truth") for rule in jobs.rules.values())


@pytest.fixture
def page(made, browser):
    """The sheet of the CRF's masks, opened offline; fails at the end if it complained."""
    sheet = next((made.folder / "results/mine/sheets").glob("crf-*.html"))
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    opened, complaints = context.new_page(), []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(sheet.as_uri())
    yield opened
    context.close()
    assert complaints == []


def names(page) -> list[str]:
    return page.locator("#tiles b").all_inner_texts()


@pytest.mark.browser
def test_the_sheet_is_in_the_order_of_doubt_and_sorts_and_filters(made, page):
    folder = next((made.folder / "results/mine/masks").glob("crf-*"))
    doubts = pd.read_csv(folder / "doubts.csv", dtype={"image": str}).set_index("image")
    shares = pd.read_csv(folder / "shares.csv", dtype={"image": str})
    shown = names(page)
    assert len(shown) == IMAGES
    assert doubts.loc[shown, "doubt"].round(4).is_monotonic_decreasing
    page.select_option("#order", "name")
    assert names(page) == sorted(shown)
    page.select_option("#class", label="cat")
    cats = shares[shares["class"] == "cat"].set_index("image")["share"]
    assert names(page) == sorted(cats.index) and len(cats) == 6
    page.select_option("#order", "large")
    assert cats[names(page)].round(4).is_monotonic_decreasing
    page.select_option("#which", "absent")
    assert sorted(names(page)) == sorted(cats.index[cats == 0])
    assert page.locator("#count").inner_text() == f"{(cats == 0).sum()} of {IMAGES} masks"


@pytest.mark.browser
def test_arrow_keys_show_the_next_large(page):
    page.wait_for_function("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.locator("img").count() == 2 * IMAGES
    shown, dialog = names(page), page.locator("#dialog")
    assert not dialog.is_visible()
    for place in range(2):
        page.keyboard.press("ArrowRight")
        assert dialog.locator("h2").inner_text() == shown[place]
    page.keyboard.press("ArrowLeft")
    assert dialog.locator("h2").inner_text() == shown[0]
    large = dialog.locator("#large img")
    box, frame = large.first.bounding_box(), page.locator("#large").bounding_box()
    assert large.count() == 2 and box == large.last.bounding_box()  # the mask lies on its image
    assert box["width"] > 300 and frame["x"] <= box["x"] and frame["y"] <= box["y"]
    assert box["x"] + box["width"] <= frame["x"] + frame["width"]
    assert box["y"] + box["height"] <= frame["y"] + frame["height"]
    page.keyboard.press("m")
    assert large.first.is_visible() and not large.last.is_visible()
    page.keyboard.press("Escape")
    assert not dialog.is_visible() and not page.locator("#masks").is_checked()


@pytest.mark.browser
def test_of_many_masks_only_those_on_the_screen_are_loaded(page):
    """A thousand images: tiles are added, and their pictures fetched, as one scrolls."""
    copies = "Array.from({length: 1000}, (_, n) => data.images[n % data.images.length])"
    page.evaluate(f"data.images = {copies}; list()")
    few = page.locator("#tiles > li").count()
    assert 60 <= few < 300
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function(f"document.querySelectorAll('#tiles > li').length > {few}")
    assert page.locator("#tiles img:not([loading=lazy])").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
