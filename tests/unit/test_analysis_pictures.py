"""The report's pictures of analyses: which maps of which images, and what of them is drawn."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.data.images import ImageFile
from tags2masks.data.index import build_index, images_sha, read_index, rows_of
from tags2masks.errors import UserError
from tags2masks.report.analysis_pictures import gradient_pictures
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.page import write_page
from tags2masks.report.stored import Dataset
from tags2masks.store import write_shard
from tests.unit.fabricated_report import COUNT, MAPS, fabricate, settings
from tests.unit.read_page import Page, decoded


@pytest.fixture
def dataset(tmp_path):
    """Three images of 8 × 6 pixels, black; the first two are tagged two and eight."""
    names = ["a", "b", "c"]
    for name in names:
        Image.new("RGB", (8, 6)).save(tmp_path / f"{name}.png")
    listing = pd.DataFrame(
        {
            "image": names,
            "path": [f"{name}.png" for name in names],
            "split": "train",
            "tags": [("two",), ("eight",), ("two",)],
        }
    )
    index = build_index(listing, tmp_path, ["two", "eight"], 1, 1)
    files = {name: ImageFile(tmp_path / f"{name}.png") for name in names}
    return Dataset("d", ["two", "eight"], index, index, files, {}, None)


def artifact(folder, id="rib-1"):
    return ShownArtifact("maps", id, "convnet/rib", 3, ["d/convnet/rib"], folder)


def write_gradients(dataset, folder, layers=3, steps=9):
    maps = np.zeros((layers, 6, 8), np.float16)
    maps[1, 2, 5] = 1
    entry = ("b", maps, {"class": "eight"}, {"steps": np.zeros((steps, 6, 8), np.float16)})
    about = {"id": "rib-1", "partial": True}
    write_shard(folder / "gradients.zarr.zip", about, images_sha(dataset.rows), [entry])


def test_gradients_of_the_images_that_are_kept(dataset, tmp_path):
    write_gradients(dataset, tmp_path)
    shown = gradient_pictures(artifact(tmp_path), dataset)
    (image,) = shown.images
    layers, steps = image.rows
    assert image.heading == "b" and (shown.name, shown.number) == ("convnet/rib", 3)
    assert [tile.title for tile in layers] == ["image", "layer 1", "layer 2", "logit"]
    assert layers[0].note == "eight" and layers[2].alt == "Gradients of b: layer 2"
    # Six of nine, with the first and the last.
    assert [tile.title for tile in steps] == [f"step {n}" for n in (0, 2, 3, 5, 6, 8)]
    assert {tile.note for tile in steps} == {"logit"}
    # The one pixel of the second layer, and none of the first.
    drawn = decoded(layers[2].picture, tmp_path).astype(int).sum(-1)
    assert np.argwhere(drawn == drawn.max()).tolist() == [[2, 5]] and drawn.max() > 500
    assert (decoded(layers[1].picture, tmp_path) == 0).all()


def test_pictures_of_another_artifact_are_refused(dataset, tmp_path):
    write_gradients(dataset, tmp_path)
    with pytest.raises(UserError, match=r"gradients\.zarr\.zip: its id is rib-1, expected rib-2"):
        gradient_pictures(artifact(tmp_path, "rib-2"), dataset)


def test_they_stand_in_the_page_where_they_are_asked_for(tmp_path):
    outline, roots = fabricate(tmp_path)
    results = tmp_path / "results"
    train = pd.read_csv(results / "pets/train.csv")
    image, folder = train["image"][0], results / "pets/maps" / MAPS
    sha = images_sha(rows_of(read_index(results / "pets/train.csv"), "train"))
    about = {"id": MAPS, "partial": True}
    down, right = np.mgrid[:64, :64] / 64
    layers = np.stack([down, right, down * right, 1 - down]).astype(np.float16)
    gradients = (image, layers, {"class": "cat"}, {"steps": np.tile(layers, (3, 1, 1))})
    write_shard(folder / "gradients.zarr.zip", about, sha, [gradients])
    regions = np.stack([down, right, down + right < 1]).astype(np.float32)
    write_shard(folder / "regions.zarr.zip", about, sha, [(image, regions, {"class": "cat"})])
    asked = [folder / name for name in ("gradients.zarr.zip", "regions.zarr.zip")]
    text = write_page(outline, roots, results, COUNT, settings(), asked=asked)
    Page(text)
    assert text.count("Pictures of analyses</h3>") == 1
    assert text.count(f'alt="Gradients of {image}: ') == 4 + 6
    # Of an object above the diagonal: CAM is the height, the map the distance from the left.
    assert (
        "HSR\N{NON-BREAKING HYPHEN}DR" in text
        and f"Distances of the pixels of cat in {image}" in text
    )
    assert text.count("High and low scores of an object") == 1
    assert "Pictures of analyses" not in write_page(outline, roots, results, COUNT, settings())
