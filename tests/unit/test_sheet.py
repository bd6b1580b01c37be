"""Contact sheets: pixels of the pictures, and the figures of images in the page."""

import io
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.data.images import ImageFile
from tags2masks.data.index import COLUMNS, images_sha, read_index, rows_of, write_index
from tags2masks.data.tables import write_table
from tags2masks.errors import UserError
from tags2masks.plausibility import DOUBTS, SHARES
from tags2masks.report.colours import mask_colours
from tags2masks.report.overlays import HALO, HATCHED, INSIDE, paint
from tags2masks.report.sheet import images_of, write_sheet
from tags2masks.report.thumbnails import overlay, photograph
from tags2masks.store import write_shard
from workflow_scripts import draw_overlays, draw_thumbnails

CAT, DOG = map(tuple, mask_colours()[1:3].tolist())
NOTHING = (0, 0, 0, 0)


def test_a_class_is_outlined_and_surrounded_by_a_white_line():
    ids = np.zeros((7, 7), np.uint8)
    ids[2:5, 2:5] = 1
    pixels = paint(ids)
    assert tuple(pixels[3, 3]) == (*CAT, INSIDE)
    for edge in [(2, 2), (2, 3), (3, 4), (4, 4)]:
        assert tuple(pixels[edge]) == (*CAT, 255)
    for around in [(1, 2), (1, 4), (3, 5), (5, 3)]:
        assert tuple(pixels[around]) == HALO
    # Neighbours share a side: corners of the line, and all that is farther away, are clear.
    for away in [(1, 1), (0, 3), (6, 6)]:
        assert pixels[away][3] == 0
    assert (pixels[..., 3] == 255).sum() == 8 and (pixels == HALO).all(axis=-1).sum() == 12


def test_between_two_classes_there_is_no_white_line_and_ignored_pixels_are_hatched():
    ids = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [255, 255, 255, 255], [255] * 4], np.uint8)
    pixels = paint(ids)
    assert [tuple(p) for p in pixels[0]] == [
        (*CAT, INSIDE), (*CAT, 255), (*DOG, 255), (*DOG, INSIDE),
    ]  # fmt: skip
    assert [tuple(p) for p in pixels[2]] == [HALO] * 4
    assert set(pixels[3, :, 3]) == {HATCHED}
    # Two greys, in stripes three pixels wide: rows and columns sum to 3, 4, 5, then 6.
    assert len({tuple(p) for p in pixels[3, :3]}) == 1
    assert tuple(pixels[3, 2]) != tuple(pixels[3, 3])


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_pictures_have_the_longer_side_that_is_asked_for(tmp_path):
    Image.new("RGB", (400, 100), (10, 200, 30)).save(tmp_path / "wide.png")
    data = photograph((ImageFile(tmp_path / "wide.png"), (100, 400)), 80)
    picture = decoded(data)
    assert (picture.format, picture.size) == ("JPEG", (80, 20))
    assert np.abs(np.asarray(picture).astype(int) - (10, 200, 30)).max() <= 4
    # Small images stay as they are, their masks are enlarged: pixel by pixel, so with thin lines.
    file = ImageFile(tmp_path / "wide.png"), (100, 400)
    assert decoded(photograph(file, 900)).size == (400, 100)
    mask = np.zeros((2, 4), np.uint8)
    mask[:, :2] = 1
    picture = decoded(overlay(mask, 40))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (40, 20))
    row = np.asarray(picture)[10]
    assert [tuple(pixel) for pixel in row[[18, 19, 20, 21]]] == [
        (*CAT, INSIDE), (*CAT, 255), HALO, NOTHING,
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"wide\.png: 400 × 100 pixels"):
        photograph((ImageFile(tmp_path / "wide.png"), (50, 400)), 80)


@pytest.fixture
def tables(tmp_path):
    """The index of four images in two shards, and tables of three; the last has no mask."""
    listed = [
        ("a", "a.png", "train", ("cat",), 4, 8, "sha a", 0),
        ("b </script>", "b.png", "train", ("cat", "dog"), 4, 8, "sha b", 0),
        ("c", "c.png", "train", (), 8, 4, "sha c", 1),
        ("d", "d.png", "train", ("dog",), 4, 8, "sha d", 1),
    ]
    write_index(tmp_path / "train.csv", pd.DataFrame(listed, columns=list(COLUMNS)))
    doubts = [("a", 0.123456, 0, 0.25, None), ("b </script>", 0.5, 0.5, None, None)]
    doubts.append(("c", 0, 0, None, None))
    shares = [("a", "cat", True, 0.25, None), ("b </script>", "cat", True, 0.00001234567, None)]
    shares.append(("b </script>", "dog", True, 0, None))
    for name, rows, columns in (("doubts", doubts, DOUBTS), ("shares", shares, SHARES)):
        write_table(tmp_path / f"{name}.csv", pd.DataFrame(rows, columns=list(columns)), columns)
    return tmp_path


def test_figures_of_images(tables):
    rows = rows_of(read_index(tables / "train.csv"), "train")
    found = images_of(rows, ["cat", "dog"], tables / "doubts.csv", tables / "shares.csv")
    assert found == [
        ["a", "0/0", 8, 4, 0.1235, 0.0, 0.25, None, [0], [[0, 0.25]]],
        # The share is small, but not 0: the class is there. The other one is not.
        ["b </script>", "0/1", 8, 4, 0.5, 0.5, None, None, [0, 1], [[0, 1.235e-05]]],
        ["c", "1/0", 4, 8, 0.0, 0.0, None, None, [], []],
    ]


def test_the_page_holds_the_figures_and_no_picture(tables):
    rows = rows_of(read_index(tables / "train.csv"), "train")
    files = tables / "doubts.csv", tables / "shares.csv"
    page = write_sheet("pets/vanilla/cam/crf", "crf-00000000", rows, ["cat", "dog"], *files, 256)
    said = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert len(said) == 1 and len(re.findall("</script>", page)) == 2
    data = json.loads(said[0])
    assert [image[0] for image in data["images"]] == ["a", "b </script>", "c"]
    assert data["colours"] == ["#4b00ff", "#00e100"] and data["classes"] == ["cat", "dog"]
    assert data["suffixes"] == {"images": ".jpg", "masks": ".png"} and data["most"] == 0.45
    assert "<img" not in page and "data:image" not in page and "http" not in page
    assert page == write_sheet(
        "pets/vanilla/cam/crf", "crf-00000000", rows, ["cat", "dog"], *files, 256
    )
    (tables / "doubts.csv").write_text((tables / "doubts.csv").read_text().replace("0.5", "0.6"))
    with pytest.raises(UserError, match=r"doubts\.csv, row 2: damaged"):
        write_sheet("pets/vanilla/cam/crf", "crf-00000000", rows, ["cat", "dog"], *files, 256)


def test_the_programs_name_pictures_by_their_number_in_the_shard(tables, monkeypatch):
    for name, size in (("a", (8, 4)), ("b", (8, 4)), ("c", (4, 8)), ("d", (8, 4))):
        Image.new("RGB", size).save(tables / f"{name}.png")
    rows = rows_of(read_index(tables / "train.csv"), "train", 1)
    masks = tables / "1.zarr.zip"
    about = {"id": "full-00000000", "partial": True}  # true masks of some images
    write_shard(masks, about, images_sha(rows), [("d", np.ones((4, 8), np.uint8), {})])
    common = ["--index", tables / "train.csv", "--shard", "1", "--size", "64"]

    def made(program, *arguments):
        output = tables / program.__name__ / "1"
        words = map(str, [*common, *arguments, "--output", output])
        monkeypatch.setattr(sys, "argv", [program.__name__, *words])
        program.main()
        return {path.name: Image.open(path).size for path in output.iterdir()}

    photographs = made(draw_thumbnails, "--root", tables, "--threads", "1")
    assert photographs == {"0.jpg": (4, 8), "1.jpg": (8, 4)}
    assert made(draw_overlays, "--id", "full-00000000", "--masks", masks) == {"1.png": (64, 32)}
