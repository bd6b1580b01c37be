"""Maps and masks of objects of any class in the report's examples."""

import json

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tags2masks.data.index import images_sha, rows_of
from tags2masks.report.gallery import gallery
from tags2masks.report.hint_tiles import hint_tiles
from tags2masks.report.stored import read_dataset
from tags2masks.store import write_shard
from tags2masks.workflow.plan import Plan
from tests.unit.fabricated_report import COUNT, MAPS, fabricate
from tests.unit.read_page import decoded


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Fabricated results: (results folder, outline, roots)."""
    folder = tmp_path_factory.mktemp("report")
    outline, roots = fabricate(folder)
    return folder / "results", outline, roots


def with_objects(results, roots):
    """The shards of a map of objects, 0.25 but 1 at its first cell, and of a mask of them."""
    dataset = read_dataset("pets", roots["pets"], results, True)
    shown = [["objectness", "c2am-0000000b"], ["object_masks", "crf-0000000c"]]
    scores = np.full((1, 16, 16), 0.25, np.float16)
    scores[0, 0, 0] = 1
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = 1
    for (stage, artifact), array in zip(shown, (scores, mask), strict=True):
        (results / "pets" / stage / artifact).mkdir(parents=True, exist_ok=True)
        for number in sorted(set(dataset.rows["shard"])):
            rows = rows_of(dataset.rows, "train", number)
            entries = [(image, array, {"size": [64, 64]}) for image in rows["image"]]
            path = results / "pets" / stage / artifact / f"{number}.zarr.zip"
            write_shard(path, {"id": artifact}, images_sha(rows), entries)
    return dataset, shown


def test_objects_stand_between_maps_and_masks(made, tmp_path):
    results, outline, roots = made
    dataset, objects = with_objects(results, roots)
    shown = gallery(outline[1] | {"objects": objects}, dataset, results, COUNT)
    example = shown.groups["well"][0]
    tiles = [tile for tile in example.tiles if tile]
    titles = [tile.title for tile in tiles if tile.title != "map"]
    assert titles == ["image", "objects", "object mask", "mask", "prediction", "truth"]
    assert len(example.tiles) == shown.columns == 8
    of_map, of_mask = tiles[-5:-3]
    assert (of_map.note, of_mask.note) == ("any class, c2am", "any class, crf")
    assert of_map.alt == f"Objects of {example.image}, of any class, by c2am"
    # Where the mask is 1 the picture has the highest colour of the scale, and else the grey image.
    image = decoded(tiles[0].picture, tmp_path).astype(float)
    drawn = decoded(of_mask.picture, tmp_path).astype(float)
    grey = np.asarray(Image.fromarray(image.astype(np.uint8)).convert("L"), float) * 0.75
    highest = 255 * np.array(matplotlib.colormaps["inferno"](1.0)[:3])
    np.testing.assert_allclose(drawn[40:], np.repeat(grey[40:, :, None], 3, 2), atol=1)
    expected = 0.15 * grey[:24, :, None] + 0.85 * highest
    np.testing.assert_allclose(drawn[:24], expected, atol=1)


def test_a_chain_of_objects_alone_has_a_gallery(made):
    results, outline, roots = made
    dataset, objects = with_objects(results, roots)
    alone = outline[0] | {"artifacts": {}, "objects": objects}
    shown = gallery(alone, dataset, results, COUNT)
    assert list(shown.groups) == ["evenly"]
    titles = [tile.title for tile in shown.groups["evenly"][0].tiles]
    assert titles == ["image", "objects", "object mask", "truth"] and shown.columns == 4


def test_hints_stand_before_the_objects(made):
    results, outline, roots = made
    dataset, objects = with_objects(results, roots)
    hints = [{"maps": MAPS, "chain": "vanilla/cam", "score": 0.4}]
    alone = outline[0] | {"artifacts": {}, "objects": objects, "hints": hints}
    shown = gallery(alone, dataset, results, COUNT)
    for example in shown.groups["evenly"]:
        assert [(tile.title, tile.note) for tile in example.tiles[1:4]] == [
            ("highest score", "any class, vanilla/cam"),
            ("background hints", "below 0.1"),
            ("hints", "above 0.4"),
        ]
        assert example.tiles[4].title == "objects" and len(example.tiles) == shown.columns == 7


def test_hints_are_above_their_score_and_of_the_highest_class(tmp_path):
    pixels = np.full((4, 4, 3), 100, np.uint8)
    maps = np.zeros((2, 4, 4), np.float16)
    maps[0, 0], maps[1, 1], maps[:, 2], maps[1, 3] = 0.5, 0.9, 0.4, 0.05
    highest, background, hints = (
        decoded(tile.picture, tmp_path).astype(float)
        for tile in hint_tiles(pixels, "a", maps, "pnoc/cam", 0.4)
    )

    def at(score):
        share = 0.85 * np.sqrt(score)
        heat = 255 * np.array(matplotlib.colormaps["inferno"](float(score))[:3])
        return 75 * (1 - share) + heat * share

    for drawn, scores in (
        (highest, (0.5, 0.9, 0.4, 0.05)),
        (background, (0, 0, 0, 1)),
        (hints, (1, 1, 0, 0)),  # 0.4 is not above 0.4
    ):
        for row, score in enumerate(scores):
            np.testing.assert_allclose(drawn[row], np.tile(at(score), (4, 1)), atol=2)
    none = hint_tiles(pixels, "a", maps[:0], "pnoc/cam", 0.4)
    assert [tile.title for tile in none] == ["highest score", "background hints", "hints"]
    np.testing.assert_allclose(decoded(none[2].picture, tmp_path), 75, atol=1)


def test_the_outline_has_the_hints_of_what_an_experiment_makes():
    training = {"start": "vanilla"}
    hinted = {"method": "c2am_h", "network": training | {"hints": "vanilla / cam"}}
    hinted["network"] |= {"hint_score": 0.25}
    raw = {
        "datasets": {"digits": {"kind": "digits"}},
        "classifiers": {"vanilla": {"method": "vanilla"}},
        "maps": {"cam": {"method": "cam"}},
        "objectness": {"hinted": hinted, "refined": {"method": "refined", "network": training}},
        "masks": {"cut": {"method": "saliency_cut", "saliency": "hinted"}},
        "experiments": ["digits / hinted / refined", "digits / vanilla / cam / cut"],
    }
    plan = Plan(raw)
    (cam,) = plan.of_stage("maps")
    outline = json.loads(plan.outline)["experiments"]
    assert [one["hints"] for one in outline] == [
        [{"maps": cam.id, "chain": "vanilla/cam", "score": 0.25}],
        [],
    ]
