"""Predictions on val in the report: every chain's for one image, beside the truth."""

import numpy as np
import pytest

from tags2masks.data.index import images_sha, rows_of
from tags2masks.instance_store import KIND, coded, instance
from tags2masks.report.colours import mask_colours
from tags2masks.report.lineage import ShownArtifact, artifacts_of, chain_numbers
from tags2masks.report.page import write_page
from tags2masks.report.prediction_rows import prediction_rows
from tags2masks.report.stored import read_dataset
from tags2masks.store import write_shard
from tests.unit.fabricated_report import COUNT, fabricate, settings
from tests.unit.read_page import Page, decoded


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Fabricated results: (results folder, outline, roots)."""
    folder = tmp_path_factory.mktemp("rows")
    outline, roots = fabricate(folder)
    return folder / "results", outline, roots


def of(name, results, outline, roots):
    """A data set, and the artifacts of its predictions."""
    mine = [one for one in outline if one["dataset"] == name]
    found = artifacts_of("predictions", mine, chain_numbers(outline), results)
    return read_dataset(name, roots[name], results, mine[0]["has_truth"]), found


def test_all_chains_and_the_truth_are_in_one_row(made, tmp_path):
    dataset, predictions = of("pets", *made)
    shown = prediction_rows(predictions, (), dataset, 2)
    # Of the four of val, 10 to 13; each of the two is at the middle of a half.
    assert [row.image for row in shown.rows] == ["pets-11", "pets-13"]
    first = shown.rows[0]
    chains = [f"vanilla/cam/{masks}/deeplabv3plus" for masks in ("threshold", "crf")]
    assert [tile.title for tile in first.tiles] == ["image", *chains, "truth"]
    assert first.tiles[0].note == "cat, dog" and first.tiles[3].note == "cat, dog"
    assert shown.ignored and [name for name, _ in shown.legend] == ["background", *dataset.classes]
    # The fabricated predictions are the truth, moved by three pixels.
    assert first.tiles[1].note == first.tiles[2].note and first.tiles[1].note.startswith("IoU ")
    truth, moved = (decoded(first.tiles[at].picture, tmp_path) for at in (3, 1))
    background, cat, dog = ((truth == colour).all(2) for colour in mask_colours()[:3])
    expected = np.roll(cat, 3, axis=1) & (background | cat | dog)  # nothing where truth is ignored
    assert np.array_equal((moved == mask_colours()[1]).all(2), expected)


def test_instances_stand_beside_the_mask_of_their_chain(made, tmp_path):
    dataset, _ = of("pets", *made)
    for number in (0, 1):
        rows = rows_of(dataset.index, "val", number)
        mask = np.zeros((64, 64), bool)
        mask[8:20, 8:20] = True
        codes, about = coded([instance(1, mask, 0.9), instance(2, mask, 0.1)])
        write_shard(
            tmp_path / f"maskrcnn-00000001/{number}.zarr.zip",
            {"id": "maskrcnn-00000001"},
            images_sha(rows),
            [
                (image, mask.astype(np.uint8), {"size": [64, 64], KIND: about}, {KIND: codes})
                for image in rows["image"]
            ],
        )
    folder = tmp_path / "maskrcnn-00000001"
    artifact = ShownArtifact("predictions", folder.name, "boxfill/maskrcnn", 0, [], folder)
    [row] = prediction_rows([artifact], {folder.name}, dataset, 1).rows
    assert [(tile.title, tile.note) for tile in row.tiles[2:]] == [
        ("boxfill/maskrcnn", "cat 0.90; 1 below 0.3"),
        ("truth", "cat"),
    ]


def test_without_true_masks_predictions_lie_over_their_images(made):
    dataset, predictions = of("photos", *made)
    [row] = prediction_rows(predictions, (), dataset, 1).rows
    assert [tile.title for tile in row.tiles] == ["image", predictions[0].name]
    assert row.tiles[1].picture.uri.startswith("data:image/jpeg")


def test_nothing_to_show(made):
    dataset, predictions = of("pets", *made)
    assert prediction_rows([], (), dataset, 2) is None
    none = dataset._replace(index=dataset.rows)
    assert prediction_rows(predictions, (), none, 2) is None


def test_the_page_shows_them_unless_they_are_of_training_images(made):
    results, outline, roots = made
    page = write_page(outline, roots, results, COUNT, settings())
    ids = [about.get("id") for about in Page(page).named("h3")]
    assert {"d0-on-val", "d1-on-val"} <= set(ids)
    trained = [one | {"evaluate_on": "train"} for one in outline]
    assert "Predictions on val" not in write_page(trained, roots, results, COUNT, settings())
