"""The report's prototypes, on fabricated results."""

import numpy as np
import pytest
from PIL import Image

from tags2masks.data.images import ImageFile
from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.errors import UserError
from tags2masks.prototypes.store import ClassPrototypes, Patch, write_prototypes
from tags2masks.report.lineage import artifacts_of, chain_numbers
from tags2masks.report.page import write_page
from tags2masks.report.prototypes import crop, shown_prototypes
from tags2masks.report.stored import read_dataset
from tests.unit.fabricated_report import (
    CLASSIFIER,
    COUNT,
    OUTLINE,
    fabricate,
    said,
    settings,
    with_steps,
)
from tests.unit.read_page import Page, decoded, table_of


def test_crops_are_the_patch_and_its_neighbours_shifted_into_the_image():
    pixels = np.arange(10 * 12 * 3, dtype=np.uint16).astype(np.uint8).reshape(10, 12, 3)
    assert (crop(pixels, (4, 3, 6, 5)) == pixels[1:7, 2:8]).all()
    assert (crop(pixels, (0, 8, 2, 10)) == pixels[4:10, 0:6]).all()
    assert (crop(pixels, (0, 0, 6, 5)) == pixels).all()  # three times that is more than there is


@pytest.fixture(scope="module")
def with_prototypes(tmp_path_factory):
    """An experiment whose maps come from prototypes: (results, outline, roots)."""
    folder = tmp_path_factory.mktemp("report")
    outline, roots = fabricate(folder)
    results = folder / "results"
    maps = outline[2]["artifacts"]["maps"]
    artifacts = {"classifier": CLASSIFIER, "prototypes": "kmeans-00000020", "maps": maps}
    one = with_steps(outline[2], artifacts)
    train = rows_of(read_index(results / "pets/train.csv"), "train")
    first, second = train["image"][:2]
    cat = ClassPrototypes(
        np.eye(4, dtype=np.float32),
        np.array([False, False, False, True]),
        np.array([0.951, 0.2, 0.999, 0.4]),
        np.array([True, False, True, True]),
        np.array([1200, 2, 3, 4]),
        [
            [
                Patch(first, (0, 0), (0, 0, 16, 16), 1.0),
                Patch(second, (1, 1), (16, 16, 32, 32), 0.9),
            ],
            [Patch("of no interest", (0, 0), (0, 0, 16, 16), 1.0)],
            [Patch(second, (0, 0), (0, 0, 16, 16), 0.8)],
            [Patch(second, (3, 3), (48, 48, 64, 64), 0.8)],
        ],
    )
    nothing = ClassPrototypes(
        np.empty((0, 4), np.float32), *(np.empty(0, kind) for kind in (bool, float, bool, int)), []
    )
    path = results / "pets/prototypes/kmeans-00000020/prototypes.zarr.zip"
    found = [("cat", cat), ("dog", nothing)]
    write_prototypes(path, said("prototypes", "kmeans-00000020", {}), images_sha(train), found)
    return results, [one], {"pets": roots["pets"]}


def test_prototypes_are_shown_with_their_patches(with_prototypes, tmp_path):
    results, outline, roots = with_prototypes
    (one,) = artifacts_of("prototypes", outline, chain_numbers(outline), results)
    dataset = read_dataset("pets", roots["pets"], results, True)
    shown = shown_prototypes(one, dataset)
    assert (shown.name, shown.more) == ("vanilla/scaled_cam", 0)
    cat, dog = shown.classes
    assert [strip.score for strip in cat.own] == [0.999, 0.951]  # the best first, the third not
    assert [strip.score for strip in cat.context] == [0.4]
    assert (cat.own_of, cat.context_of, dog.own, dog.own_of) == (3, 1, [], 0)
    strip = cat.own[1]
    assert (strip.picture.width, strip.picture.height, strip.size) == (80, 40, 1200)
    image = dataset.rows["image"][0]
    assert strip.alt.startswith(f"Patches of {image}, ")
    seen = decoded(strip.picture, tmp_path)[:, :40].mean((0, 1))
    pixels = np.array(Image.open(dataset.files[dataset.rows["image"][0]].path))[:48, :48]
    np.testing.assert_allclose(seen, pixels.mean((0, 1)), atol=3)


def test_no_patch_is_cut_from_an_image_of_another_size(with_prototypes, tmp_path):
    results, outline, roots = with_prototypes
    (one,) = artifacts_of("prototypes", outline, chain_numbers(outline), results)
    dataset = read_dataset("pets", roots["pets"], results, True)
    Image.new("RGB", (10, 9)).save(tmp_path / "other.png")
    files = dataset.files | {dataset.rows["image"][0]: ImageFile(tmp_path / "other.png")}
    with pytest.raises(UserError, match=r"other\.png: 10 × 9 pixels .* when it was listed"):
        shown_prototypes(one, dataset._replace(files=files))


def test_the_page_has_a_section_of_prototypes_where_there_are_some(with_prototypes):
    results, outline, roots = with_prototypes
    text = write_page(outline, roots, results, COUNT, settings())
    parsed = Page(text)
    assert 'id="d0-prototypes"' in text
    assert "d0-prototypes" not in write_page([OUTLINE[2]], roots, results, COUNT, settings())
    assert "confidence 0.951<small>1,200 features" in text
    assert text.count("Patches of") == 3
    assert all(image["alt"] for image in parsed.named("img"))
    assert ["Prototypes", "tags", "1"] in table_of(text, "supervision")
    assert "<code>kmeans-00000020</code>" in text
