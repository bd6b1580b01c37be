"""Maps and masks of objects of any class in the report's examples."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tags2masks.data.index import images_sha, rows_of
from tags2masks.report.gallery import gallery
from tags2masks.report.stored import read_dataset
from tags2masks.store import write_shard
from tests.unit.fabricated_report import COUNT, fabricate
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
