"""The report's tables, examples, pictures and page, on fabricated results."""

import html
import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from skimage.color import rgb2lab

from tags2masks.data.index import images_sha, rows_of
from tags2masks.errors import UserError
from tags2masks.metrics.groups import group_figures
from tags2masks.report.colours import BACKGROUND, HATCH, mask_colours
from tags2masks.report.gallery import gallery, image_iou
from tags2masks.report.leaderboard import COLUMNS, Cell, leaderboard_cells, shown_columns
from tags2masks.report.lineage import chain_numbers
from tags2masks.report.page import best_chain, write_page
from tags2masks.report.pictures import image_picture, map_picture, mask_picture, overlay_picture
from tags2masks.report.reading import read_leaderboard, read_metrics, read_properties
from tags2masks.report.step_tiles import pass_tiles, restricted_tiles, step_tiles
from tags2masks.report.stored import read_dataset, read_steps
from tags2masks.report.summary import LEADERBOARD
from tags2masks.report.tables import class_figures, class_values, mean_figures, percent
from tags2masks.store import write_shard
from tests.unit.fabricated_report import (
    CLASSIFIER,
    COUNT,
    OTHER,
    OUTLINE,
    PHOTOS,
    TRAIL,
    fabricate,
    settings,
    with_steps,
)
from tests.unit.read_page import Page, decoded, table_of

TIMES = "../logs/times.html"
SHEET = "photos/sheets/crf-00000008.html"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Fabricated results: (results folder, outline, roots)."""
    folder = tmp_path_factory.mktemp("report")
    outline, roots = fabricate(folder)
    return folder / "results", outline, roots


@pytest.fixture(scope="module")
def page(made):
    results, outline, roots = made
    return write_page(outline, roots, results, COUNT, settings())


# -- figures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.4512, "45.1"), ("0.6147", "61.5"), (1, "100.0"), (0, "0.0"), ("", "–"), (None, "–"),
     (np.nan, "–")],
)  # fmt: skip
def test_percent(value, shown):
    assert percent(value) == shown


def test_leaderboard_marks_the_best_of_each_data_set():
    row = dict.fromkeys(LEADERBOARD, "") | {"label_cost": "20.0"}
    rows = [
        {"experiment": "a/x", "dataset": "a", "seed_iou": "0.5", "mask_iou": "0.9",
         "seed_background_score": "0.3", "note": "a note"},
        {"experiment": "a/y", "dataset": "a", "seed_iou": "0.6", "mask_iou": "0.9"},
        {"experiment": "a/z", "dataset": "a", "seed_iou": "0.60", "train_images": "1464"},
        {"experiment": "b/x", "dataset": "b", "seed_iou": "0.99",
         "prediction_iou": "0.7", "prediction_images": "1449.0", "prediction_split": "val"},
    ]  # fmt: skip
    board = pd.DataFrame([row | one for one in rows])
    cells = leaderboard_cells(board)
    by_column = {column.name: at for at, column in enumerate(shown_columns(board))}

    def column(name):
        return [line[by_column[name]] for line in cells]

    assert [cell.best for cell in column("seed_iou")] == [False, True, True, False]
    assert not any(cell.best for cell in column("mask_iou"))  # all that have one are equal
    assert [cell.text for cell in column("mask_iou")] == ["90.0", "90.0", "–", "–"]
    assert column("train_images")[2].text == "1,464"
    # Small, under the figure: the score of a seed, the images of predictions, notes.
    assert [cell.below for cell in column("seed_iou")] == ["at\N{NO-BREAK SPACE}0.30", "", "", ""]
    assert column("prediction_iou")[3] == Cell("70.0", "0.7", below="1,449 val images")
    assert [cell.below for cell in column("experiment")] == ["a note", "", "", ""]


def test_the_deviation_stands_under_the_mean_of_several_seeds():
    row = dict.fromkeys(LEADERBOARD, "") | {"label_cost": "119.85", "dataset": "a"}
    rows = [
        {"experiment": "a/x", "seed": "mean", "prediction_iou": "0.55", "share_of_full": "0.921",
         "prediction_images": "7.0", "prediction_split": "val"},
        {"experiment": "a/x", "seed": "sd", "prediction_iou": "0.0707", "share_of_full": "0.01"},
        {"experiment": "a/x@0", "seed": "0", "prediction_iou": "0.6"},
        {"experiment": "a/x@1", "seed": "1", "prediction_iou": "0.5"},
        {"experiment": "a/y", "seed": "0", "prediction_iou": "0.58"},
    ]  # fmt: skip
    board = pd.DataFrame([row | one for one in rows])
    cells = leaderboard_cells(board)
    at = [column.name for column in shown_columns(board)].index("prediction_iou")
    assert [line[0].text for line in cells] == ["a/x", "a/x@0", "a/x@1", "a/y"]
    assert cells[0][at].below == "± 7.1, 7 val images, 92\N{NO-BREAK SPACE}% of full"
    # The mean is compared with others, not its seeds, of which one is higher than all.
    assert [line[at].best for line in cells] == [False, False, False, True]
    assert cells[0][1].below == "120 s an image"


def test_the_page_shows_the_leaderboard_of_the_csv(made, page):
    header, *rows = table_of(page, "leaderboard")
    board = pd.read_csv(made[0] / "leaderboard.csv")
    assert len(rows) == len(board) == 4
    columns = shown_columns(read_leaderboard(made[0] / "leaderboard.csv"))
    for shown, (_, row) in zip(rows, board.iterrows(), strict=True):
        by_name = dict(zip([column.name for column in columns], shown, strict=True))
        note = "" if pd.isna(row["note"]) else f" {row['note']}"
        assert by_name["experiment"] == row["experiment"] + note
        for name in ("classifier_map", "seed_iou", "seed_iou_best", "mask_iou", "prediction_iou"):
            text = by_name[name].split()[0]
            assert text == ("–" if pd.isna(row[name]) else f"{100 * row[name]:.1f}"), name
    assert rows[1][3:5] == ["45.1 at 0.30", "49.8 (best of its data set) at 0.42"]
    assert rows[1][6] == "61.5 (best of its data set) 4 val images"
    assert rows[3][6] == "– 1 val image"
    assert [row[1] for row in rows] == ["tags 20 s an image"] * 4
    # Exactly what was picked with masks is marked, in the header and in every cell.
    assert [title for title in header if "tuned on masks" in title] == [header[4]]
    assert sum(column.tuned for column in COLUMNS) == 1
    table = page[page.index('<table class="board">') :]
    table = table[: table.index("</table>")]
    assert len(re.findall(r'<td class="[^"]*\btuned\b', table)) == len(rows)


def test_figures_of_an_experiment(made):
    metrics = read_metrics(made[0] / "metrics.csv")
    metrics = metrics[metrics["experiment"] == TRAIL]
    figures = class_figures(metrics, ["cat", "dog"])
    assert [(c.stage, c.split, c.threshold, c.tuned) for c in figures.columns] == [
        ("seed", "train", 0.3, False),
        ("seed", "train", 0.42, True),
        ("mask", "train", None, False),
        ("prediction", "val", None, False),
    ]
    assert figures.rows == [
        ("mean", ["45.1", "49.8", "57.1", "61.5"]),
        ("background", ["70.2", "75.1", "81.0", "83.3"]),
        ("cat", ["35.2", "40.1", "47.2", "54.0"]),
        ("dog", ["30.0", "34.1", "43.0", "47.1"]),
    ]
    means = mean_figures(metrics)
    assert means.rows[0] == ("IoU", ["45.1", "49.8", "57.1", "61.5"])
    assert ("Contour F", ["21.1", "–", "35.2", "33.4"]) in means.rows
    assert means.rows[-1] == ("Labelled pixels", ["–", "–", "98.0", "98.0"])
    stages, values = class_values(metrics, ["cat", "dog", "unseen"])
    assert stages == ["seed", "mask", "prediction"]
    assert values[0] == ("mean", [0.4512, 0.5706, 0.6147])
    assert [name for name, _ in values] == ["mean", "background", "cat", "dog"]


def test_of_a_stage_that_a_chain_has_twice_the_last_is_told(made):
    metrics = read_metrics(made[0] / "metrics.csv")
    metrics = metrics[metrics["experiment"] == TRAIL]
    seed = metrics[metrics["stage"] == "maps"]
    later = seed.assign(artifact="cam-2", value=seed["value"] + 0.1, threshold=0.5)
    twice = pd.concat([metrics[metrics["stage"] == "masks"], seed, later])
    figures = class_figures(twice, ["cat", "dog"])
    assert [(c.stage, c.threshold) for c in figures.columns[:2]] == [("seed", 0.5), ("seed", 0.5)]
    assert figures.rows[0] == ("mean", ["55.1", "59.8", "57.1"])
    outline = [{"experiment": TRAIL, "full": False}]
    told = {"name": TRAIL, "stages": [("seed", "55.1"), ("mask", "57.1")], "of": 1}
    assert best_chain(outline, twice) == told


def test_tables_name_the_file_they_lack(tmp_path):
    with pytest.raises(UserError, match=r"leaderboard\.csv"):
        read_leaderboard(tmp_path / "leaderboard.csv")


def test_chains_keep_their_colour_over_data_sets():
    numbers = chain_numbers(OUTLINE)
    assert list(numbers.values()) == [0, 1, 2, 1]


# -- pictures -----------------------------------------------------------------------------------


def test_a_small_mask_keeps_every_pixel(tmp_path):
    mask = np.array([[0, 1, 2], [255, 255, 255], [255, 255, 255]], np.uint8)
    picture = mask_picture(mask)
    assert (picture.width, picture.height, picture.small) == (3, 3, True)
    pixels = decoded(picture, tmp_path)
    # Background, two classes; stripes three pixels wide.
    assert pixels[0].tolist() == [list(BACKGROUND), *mask_colours()[1:3].tolist()]
    light, dark = map(list, HATCH)
    assert pixels[1].tolist() == [light, light, dark]
    assert pixels[2].tolist() == [light, dark, dark]
    assert mask_picture(mask).key == picture.key


def test_classes_are_told_apart_by_their_colours():
    colours = mask_colours()
    assert [tuple(colours[id].tolist()) for id in (0, 254, 255)] == [BACKGROUND, *HATCH]
    assert len({tuple(colour) for colour in colours.tolist()}) == 256
    # In CIELAB two colours that differ by 2.3 are just told apart; VOC's palette has 8.8 and 2.6.
    for classes, least in ((20, 37), (80, 17.9)):
        places = rgb2lab(colours[None, : classes + 1] / 255)[0]
        apart = np.linalg.norm(places[:, None] - places, axis=2)
        assert apart[~np.eye(len(places), dtype=bool)].min() > least


def test_a_mask_over_its_image(tmp_path):
    image = np.full((4, 6, 3), 100, np.uint8)
    mask = np.zeros((4, 6), np.uint8)
    mask[:, 2:] = 1
    mask[:, 5] = 255
    pixels = decoded(overlay_picture(image, mask), tmp_path)
    assert pixels[0, 0].tolist() == [100, 100, 100]
    assert (pixels[:, 1] > 240).all()  # the white line around a class
    assert pixels[0, 2].tolist() == mask_colours()[1].tolist()  # its outline
    inside = 100 + 96 / 255 * (mask_colours()[1].astype(float) - 100)
    np.testing.assert_allclose(pixels[0, 3], inside, atol=1)


def test_large_pictures_become_thumbnails_that_keep_ids(tmp_path):
    mask = np.zeros((300, 480), np.uint8)
    mask[:, 240:] = 3
    picture = mask_picture(mask)
    assert (picture.width, picture.height, picture.small) == (240, 150, False)
    colours = {tuple(pixel) for pixel in decoded(picture, tmp_path).reshape(-1, 3)}
    assert colours == {BACKGROUND, tuple(mask_colours()[3].tolist())}  # nothing in between
    photograph = image_picture(np.zeros((300, 480, 3), np.uint8))
    assert photograph.uri.startswith("data:image/jpeg;base64,")
    assert (photograph.width, photograph.height) == (240, 150)


def test_heat_follows_the_scores(tmp_path):
    image = np.full((8, 8, 3), 100, np.uint8)
    pixels = decoded(map_picture(image, np.array([[0.0, 1.0]])), tmp_path)
    assert pixels[0, 0].tolist() == [75] * 3  # no score: the image in grey, three quarters bright
    # Full score: 0.15 · 75 + 0.85 · (252.0, 254.6, 164.5), the end of the colour map.
    assert pixels[0, 7].tolist() == [225, 228, 151]


def test_image_iou_by_hand():
    truth = np.array([[0, 0, 1, 255]], np.uint8)
    labels = np.array([[0, 1, 1, 2]], np.uint8)
    # Background 1/2, class 1 1/2; class 2 shows only where truth is ignored.
    assert image_iou(truth, labels, 2) == 0.5


def test_gallery(made):
    results, outline, roots = made
    dataset = read_dataset("pets", roots["pets"], results, True)
    shown = gallery(outline[1], dataset, results, COUNT)
    assert list(shown.groups) == ["well", "badly"]
    known = pd.read_csv(results / "pets/masks/crf-00000003/images.csv").set_index("image")["iou"]
    for example in [one for group in shown.groups.values() for one in group]:
        tiles = {tile.title: tile for tile in example.tiles if tile}
        assert list(tiles) == ["image", "map", "mask", "prediction", "truth"]
        assert tiles["mask"].note == f"IoU {100 * known[example.image]:.1f}"
        assert tiles["image"].note == tiles["truth"].note == ", ".join(example.tags)
        maps = [tile.note for tile in example.tiles if tile and tile.title == "map"]
        assert maps == list(example.tags)
        assert len(example.tiles) == shown.columns == 6  # two maps, for the images with two tags
    lowest = [min(known[one.image] for one in shown.groups[name]) for name in ("well", "badly")]
    assert lowest[0] > lowest[1]
    assert [name for name, _ in shown.legend] == ["background", "cat", "dog"]
    assert shown.legend[1][1] == "#4b00ff" and shown.ignored


def test_steps_stand_below_the_maps_that_keep_them(made, page):
    results, outline, roots = made
    dataset = read_dataset("pets", roots["pets"], results, True)
    shown = gallery(outline[2], dataset, results, COUNT)
    for example in [one for group in shown.groups.values() for one in group]:
        maps, masks = example.steps
        assert [tile.title for tile in maps] == ["step 0", "step 1", "step 2"]
        assert [tile.title for tile in masks] == [f"mask, step {step}" for step in range(3)]
        (note,) = {tile.note for tile in maps + masks}
        assert note in example.tags
        assert maps[0].picture.key != maps[2].picture.key
        assert len({tile.picture.key for tile in masks} | {maps[0].picture.key}) == 2
    kept = gallery(outline[1], dataset, results, COUNT)
    assert not any(one.steps for group in kept.groups.values() for one in group)
    assert "step 2</b>" in page and "mask, step 2</b>" in page


def test_a_method_without_masks_has_one_row_of_steps(made, tmp_path):
    results, _, roots = made
    dataset = read_dataset("pets", roots["pets"], results, True)
    images = dataset.rows["image"].tolist()
    steps = np.ones((1, 2, 16, 16), np.float16)
    for number in (0, 1):
        rows = rows_of(dataset.rows, "train", number)
        entries = [
            (image, steps[:, 0], {"classes": ["cat"], "size": [64, 64]}, {"steps": steps})
            for image in rows["image"]
        ]
        path = tmp_path / "maps/rib-00000001" / f"{number}.zarr.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_shard(path, {"id": "rib-00000001"}, images_sha(rows), entries)
    read = read_steps(dataset, dataset.rows, tmp_path, "rib-00000001")
    assert list(read) == images and read[images[0]].restricted is None


def test_steps_are_spread_evenly_and_of_the_class_that_is_seen_most():
    pixels = np.zeros((8, 8, 3), np.uint8)
    steps = np.ones((2, 21, 2, 2), np.float16)
    steps[0, :, 0, 0] = 0.5
    steps[1, 0, 0, :] = 0.1
    tiles = step_tiles(pixels, "a.jpg", steps, ["cat", "dog"])
    assert [tile.title for tile in tiles] == [f"step {t}" for t in (0, 4, 8, 12, 16, 20)]
    assert {tile.note for tile in tiles} == {"cat"}
    assert step_tiles(pixels, "a.jpg", steps[:0], []) == []
    # The masks of the same class and steps; the last step has none.
    restricted = np.zeros((2, 20, 2, 2), np.float16)
    restricted[0, 12] = 1
    masks = restricted_tiles(pixels, "a.jpg", steps, ["cat", "dog"], restricted)
    assert [tile.title for tile in masks] == [f"mask, step {t}" for t in (0, 4, 8, 12, 16)]
    keys = [tile.picture.key for tile in masks]
    assert keys[0] == keys[4] != keys[3] == map_picture(pixels, np.ones((2, 2))).key
    assert restricted_tiles(pixels, "a.jpg", steps[:0], [], restricted[:0]) == []
    # Each by its own maximum: whether all is 0.5 or 300.
    steps = np.full((1, 2, 2, 2), 0.5, np.float32)
    steps[:, 1] = 300
    first, second = step_tiles(pixels, "a.jpg", steps, ["cat"])
    assert first.picture.key == second.picture.key


def test_single_passes_stand_where_they_are_kept(made, tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    singles = np.zeros((2, 7, 2, 2), np.float16)
    singles[1, :, 0, 0] = 1
    singles[1, 2, 1, 1] = 0.5
    tiles = pass_tiles(pixels, "a.jpg", singles, ["cat", "dog"])
    assert [tile.title for tile in tiles] == [f"pass {n}" for n in range(1, 7)]
    assert {tile.note for tile in tiles} == {"dog"}
    assert tiles[2].alt == "Where dog is seen in a.jpg by pass 3"
    assert tiles[0].picture.key == tiles[1].picture.key != tiles[2].picture.key
    dark = decoded(tiles[0].picture, tmp_path).sum(-1)
    assert dark[0, 0] > 500 and dark[7, 7] == 0
    assert pass_tiles(pixels, "a.jpg", singles[:0], []) == []


def test_gallery_without_truth(made):
    results, outline, roots = made
    dataset = read_dataset("photos", roots["photos"], results, False)
    shown = gallery(outline[3], dataset, results, COUNT)
    assert list(shown.groups) == ["evenly"]
    tiles = [tile for tile in shown.groups["evenly"][0].tiles if tile]
    assert [tile.title for tile in tiles] == ["image", "map", "mask", "prediction"]
    assert [tile.note for tile in tiles] == ["tree"] * 4


# -- the page -----------------------------------------------------------------------------------


def test_sections_and_well_formedness(page):
    parsed = Page(page)
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for name in ("summary", "leaderboard", "d0", "d1", "supervision", "artifacts"):
        assert name in ids
    assert parsed.named("h1") == [{}]
    assert all(image["alt"] for image in parsed.named("img"))
    assert all("scope" in cell for cell in parsed.named("th"))
    # One chart of curves, two of training per data set, one of bars per measured experiment, one of
    # shares per experiment with masks.
    charts = [div for div in parsed.named("div") if div.get("role") == "img"]
    assert len(charts) == 11 and all("aria-label" in chart for chart in charts)
    assert page.count("Well done<") == page.count("Badly done<") == 2
    assert page.count("Spread evenly<") == 2  # the chain without masks, the set without truth


def test_nothing_is_loaded_from_anywhere(page):
    for attributes in Page(page).named("img", "link", "script", "use", "a", "source", "iframe"):
        for name in ("src", "href", "srcset", "data"):
            value = attributes.get(name, "")
            # A contact sheet and the page of times are followed by those who want them.
            assert re.match(r"data:|#|$", value) or value in (SHEET, TIMES), attributes
    assert not re.findall(r"https?://|url\((?!#)|@import", page)


def test_names_are_escaped(page):
    assert "rock &amp; &lt;roll&gt;" in page
    assert "<roll>" not in page


def test_warnings_stand_in_the_summary_each_once(page):
    (said,) = re.findall(r'<ul class="warnings">(.*?)</ul>', page, re.DOTALL)
    assert page.index(said) < page.index('id="leaderboard"')
    pets = '<a href="#d0">pets</a>: '
    assert re.findall("<li>(.*?)</li>", said) == [
        f"{pets}fewer than 5 training images are tagged with &lt;cat&gt; (3)",
        f"{pets}{TRAIL}, {OTHER}: a mean over 2 classes",
    ]


def test_shared_pictures_stand_in_the_page_once(page):
    images = Page(page).named("img")
    known = {image["id"] for image in images if "id" in image}
    shared = [image for image in images if "data-same" in image]
    assert shared and all(image["data-same"] in known for image in shared)
    sources = [image["src"] for image in images if "id" in image]
    assert len(sources) == len(set(sources))


def test_supervision_is_told(page):
    rows, nothing = table_of(page, "supervision"), "nothing beside what it is made from"
    assert rows[1:] == [
        ["Classifier", "tags", "2"],
        ["Maps (seed)", "tags", "3"],
        ["Masks", nothing, "3"],
        ["Segmenter", nothing, "3"],
        ["Predictions", nothing, "3"],
        ["Quality figures", "pixel masks, evaluation only", "–"],
    ]


def test_recipes_are_shown(page):
    shown = re.findall(r"<summary><code>([^<]*)</code></summary><pre[^>]*>([^<]*)</pre>", page)
    recipes = {artifact: json.loads(html.unescape(text)) for artifact, text in shown}
    assert recipes["vanilla-00000001"]["spec"] == {"epochs": 5}  # of spec.json
    assert recipes["crf-00000008"]["spec"] == {"iterations": 10}  # of its shard
    assert "Made with python 3.11.7, torch 2.12.1" in page


def test_properties_of_the_classes_stand_beside_their_correlations(made, page):
    classes = page[page.index('id="d0-classes"') :]
    cells = [
        " ".join(re.sub(r"<[^>]+>", " ", row).split())
        for row in classes.split("<tr>")[1:]
        if "</td>" in row
    ]
    name = TRAIL.partition("/")[2].replace("/", " / ")
    assert cells[0].startswith(f"{name} Prediction 0.76 0.50 -1.00 -0.50 – –")
    rows = ["background {} 81.2 – –", "cat {} 12.3 50.0 1.50", "dog {} 20.0 25.0 1.25"]
    found = [cell[: len(rows[at % 3].format(10))] for at, cell in enumerate(cells[1:7])]
    assert found[:3] == [row.format(10) for row in rows]
    assert [cell.split()[1] for cell in cells[4:7]] == ["4"] * 3
    assert 'id="d1-classes"' not in page  # photos have no masks


def test_groups_of_classes_stand_in_the_page(made):
    results, outline, roots = made
    metrics = read_metrics(results / "metrics.csv")
    metrics = metrics[metrics["dataset"] == "pets"]
    properties = read_properties(results / "pets/properties.csv")
    figures = group_figures({"both": ["cat", "dog"]}, metrics, properties, "pets")
    figures.to_csv(results / "groups.csv", index=False)
    page = write_page(outline, roots, results, COUNT, settings(class_groups={"photos": {}}))
    (results / "groups.csv").unlink()
    assert page.count("Groups of classes") == 2  # the heading, and the region's name
    groups = page[page.index("<h4>Groups of classes</h4>") :]
    cells = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in groups.split("<tr>")[2:8]]
    assert cells[0] == "Size, % of the image Training images 16.2"
    name = TRAIL.partition("/")[2].replace("/", " / ")
    assert f"{name} Prediction 50.6" in cells  # 54.01 and 47.1


def test_quality_without_masks_stands_in_the_page(made, page):
    """The figures are checked in test_plausibility.py; here, that they are those of the files."""
    sections = re.findall(r'<h3 id="d\d-plausibility">.*?<p class="source">From', page, re.DOTALL)
    assert len(sections) == 2  # pets, photos
    known = pd.read_csv(made[0] / "plausibility.csv")
    shown = re.findall(r"<caption>(\w+), (\w+) images</caption>", sections[0])
    assert shown == [("Mask", "training"), ("Prediction", "validation")] * 2
    rows = re.findall(r'<th scope="row">([^<]*)</th>((?:<td class="num">[^<]*</td>)+)', sections[1])
    cells = {html.unescape(name): re.findall(">([^<>]+)</td>", more) for name, more in rows[:3]}
    assert list(cells) == ["(any)", *PHOTOS]
    mine = known[(known["dataset"] == "photos") & (known["stage"] == "masks")].set_index("class")
    for name, (images, share, *_, agreement) in cells.items():
        assert images == str(mine["images"][name]) and agreement == "–"  # masks of one kind
        assert share == f"{100 * mine['share'][name]:.1f}"
    assert f'<a href="{SHEET}">all masks of' in sections[1] and "<a " not in sections[0]
    # Where there are true masks: how well doubts find the worst, as a figure of evaluation.
    related = pd.read_csv(made[0] / "doubt_correlations.csv")
    mine = related[(related["part"] == "doubt") & (related["experiment"] == TRAIL)]
    doubt = mine.set_index("stage")["spearman"]
    assert f"with the IoU of its mask, {doubt['masks']:.2f}." in sections[0]
    assert np.isnan(doubt["predictions"])  # those of the two segmenters are equal, without a doubt
    assert "with the IoU of its prediction" not in sections[0]
    assert "Evaluation with masks" not in sections[1]


def test_contours_are_explained_where_they_were_measured(page):
    assert page.count("Contour F:") == 1  # pets have masks, photos none


def test_what_a_run_stands_on_can_be_cited(made, page):
    results, outline, roots = made
    text = write_page(outline, roots, results, COUNT, settings(cited=["zhou2016cam"]))
    assert text.count("@inproceedings{zhou2016cam,") == 1
    assert 'id="cite"' in text and 'id="cite"' not in page


def test_an_experiment_may_end_at_the_classifier(made):
    results, outline, roots = made
    one = with_steps(outline[0], {"classifier": CLASSIFIER})
    text = write_page([one], {"pets": roots["pets"]}, results, COUNT, settings())
    Page(text)
    assert "Training of the classifiers" in text
    assert "Training of the segmenters" not in text and 'id="d0-examples"' not in text


def test_no_masks_at_all(made):
    results, outline, roots = made
    outline = [one for one in outline if one["dataset"] == "photos"]
    text = write_page(outline, {"photos": roots["photos"]}, results, COUNT, settings())
    Page(text)
    assert "no pixel masks: not measured" in text
    assert "IoU by class" not in text


def test_the_program_writes_the_same_bytes_again(made, page):
    results, outline, roots = made
    output = results / "report.html"
    written = results / "experiments.json"
    said = {"compare": [], "against": [], "cited": [], "class_groups": {}, "side_by_side": {}}
    listed = {"experiments": outline, "report": said}
    written.write_text(json.dumps(listed), encoding="utf-8")
    arguments = ["--outline", written, "--roots", json.dumps(roots)]
    arguments += ["--examples", str(COUNT), "--results", results, "--output", output]
    program = [sys.executable, "-m", "workflow_scripts.write_report"]
    # Another process, and another order of sets than here.
    subprocess.run([*program, *arguments], check=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert output.read_text(encoding="utf-8") == page


def test_examples_made_for_other_images_are_refused(made):
    results, outline, roots = made
    with pytest.raises(UserError, match=r"examples/deeplabv3plus-\S+\.zarr\.zip: its images_sha"):
        write_page(outline, roots, results, COUNT + 1, settings())


def test_experiments_that_learned_from_masks_are_told(made):
    results, outline, roots = made
    last = outline[1] | {"supervision": ["masks"], "full": True}
    text = write_page([outline[0], last], {"pets": roots["pets"]}, results, COUNT, settings())
    assert "1 of them learned from pixel masks, as their supervision says" in text
    best = text[text.index('<div class="card">') : text.index('id="leaderboard"')]
    # Of two chains the second is better, but it is the reference.
    assert "threshold" in best and "Best of 1" not in best
