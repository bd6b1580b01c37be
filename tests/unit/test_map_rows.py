"""Rows of maps in the report: of all chains for one image, and of untagged classes."""

import matplotlib
import numpy as np
import pytest

from tags2masks.config.base import ConfigError
from tags2masks.data.index import images_sha, rows_of
from tags2masks.errors import UserError
from tags2masks.report.lineage import artifacts_of, chain_numbers
from tags2masks.report.map_rows import UNTAGGED, side_by_side, untagged_maps
from tags2masks.report.page import write_page
from tags2masks.report.stored import read_dataset
from tags2masks.store import write_shard
from tags2masks.workflow.plan import Plan
from tests.unit.fabricated_report import COUNT, MAPS, fabricate, settings
from tests.unit.read_page import Page, decoded
from tests.unit.test_climbs import RAW


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Fabricated results: (results folder, outline, roots)."""
    folder = tmp_path_factory.mktemp("rows")
    outline, roots = fabricate(folder)
    return folder / "results", outline, roots


def of_pets(results, outline, roots):
    """The data set, and the artifacts of its maps."""
    mine = [one for one in outline if one["dataset"] == "pets"]
    maps = artifacts_of("maps", mine, chain_numbers(outline), results)
    return read_dataset("pets", roots["pets"], results, True), maps


def test_all_chains_are_in_one_row(made):
    dataset, maps = of_pets(*made)
    rows = side_by_side(maps, dataset, ["pets-05", "pets-01"])
    # In the order of the data set; pets-05 has two tags.
    assert [row.image for row in rows] == ["pets-01", "pets-05", "pets-05"]
    notes = [[(tile.title, tile.note) for tile in row.tiles] for row in rows]
    assert notes[0] == [
        ("image", "dog"),
        ("vanilla/cam", "dog"),
        ("vanilla/scaled_cam", "dog"),
    ]
    assert [row[1][1] for row in notes[1:]] == ["cat", "dog"]
    assert rows[1].tiles[1].alt == "Where cat is seen in pets-05 by vanilla/cam"
    assert rows[1].tiles[1].picture != rows[2].tiles[1].picture
    assert [row.image for row in side_by_side(maps, dataset, 2)] == ["pets-03", "pets-07"]
    assert side_by_side(maps, dataset, None) == side_by_side([], dataset, 2) == []


def test_maps_of_other_images_alone_have_an_empty_place(made, tmp_path):
    dataset, maps = of_pets(*made)
    for number in (0, 1):
        rows = rows_of(dataset.rows, "train", number)
        scores = np.ones((1, 16, 16), np.float16)
        entries = [
            (row["image"], scores, {"classes": list(row["tags"]), "size": [64, 64]})
            for row in rows.to_dict("records")
            if row["image"] == "pets-01"
        ]
        path = tmp_path / "few" / f"{number}.zarr.zip"
        path.parent.mkdir(exist_ok=True)
        write_shard(path, {"id": "few"}, images_sha(rows), entries)
    few = maps[0]._replace(id="few", folder=tmp_path / "few", name="vanilla/few")
    first, second = side_by_side([*maps, few], dataset, ["pets-01", "pets-03"])
    assert first.tiles[3].title == "vanilla/few" and second.tiles[3] is None
    assert None not in second.tiles[:3]


def test_an_unknown_image_is_told(made):
    dataset, maps = of_pets(*made)
    with pytest.raises(UserError) as error:
        side_by_side(maps, dataset, ["pets-99"])
    assert str(error.value) == (
        "report.side_by_side.pets: no training image 'pets-99'; write names of "
        "results/pets/train.csv, or a number"
    )


def test_a_data_set_without_maps_is_told():
    with pytest.raises(ConfigError) as error:
        Plan(RAW | {"report": {"side_by_side": {"digit": 2}}})
    assert str(error.value) == (
        "report.side_by_side.digit: no data set with maps in an experiment; did you mean "
        "'digits'? choose from digits"
    )


@pytest.fixture
def with_untagged(made):
    """The file of untagged classes of an artifact: cat is high on the left, dog is 0.25."""
    dataset, maps = of_pets(*made)
    scores = np.full((2, 16, 16), 0.25, np.float16)
    scores[0, :, :8] = 1
    path = made[0] / "pets/maps" / MAPS / UNTAGGED
    entries = [("pets-01", scores, {"classes": ["cat", "dog"], "size": [64, 64]})]
    write_shard(path, {"id": MAPS, "partial": True}, images_sha(dataset.rows), entries)
    yield path, dataset, maps
    path.unlink()


def test_untagged_classes_stand_behind_the_tagged(with_untagged, tmp_path):
    path, dataset, maps = with_untagged
    (found,) = untagged_maps(maps, dataset, [path])
    assert (found.name, found.columns) == ("vanilla/cam", 3)
    (row,) = found.rows
    assert [(tile.title, tile.note) for tile in row.tiles] == [
        ("image", "dog"),
        ("map", "dog"),
        ("untagged", "cat"),
    ]
    assert row.tiles[2].alt == "Where cat would be seen in pets-01"
    drawn = decoded(row.tiles[2].picture, tmp_path).astype(float)
    highest = 255 * np.array(matplotlib.colormaps["inferno"](1.0)[:3])
    assert np.abs(drawn[:, :28] - highest).mean() < np.abs(drawn[:, 36:] - highest).mean() / 3
    assert untagged_maps(maps, dataset, []) == []


def test_the_page_has_both(made, with_untagged):
    results, outline, roots = made
    path = with_untagged[0]
    beside = {"pets": ["pets-01"]}
    page = write_page(outline, roots, results, COUNT, settings(side_by_side=beside), asked=[path])
    plain = write_page(outline, roots, results, COUNT, settings())
    for key in ("d0-side-by-side", "d0-untagged"):
        assert f'id="{key}"' in page and key not in plain
    assert "d1-side-by-side" not in page
    alts = [img.get("alt", "") for img in Page(page).named("img")]
    assert "Where cat would be seen in pets-01" in alts
    assert "Where dog is seen in pets-01 by vanilla/scaled_cam" in alts
